import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from netsculpt.ops._register import register, require, require_value, shape

DEFAULT_TOL = {torch.float32: 1e-5, torch.float64: 1e-10}


class ExtremePairs(NamedTuple):
    """Eigenpairs in the order lowest, highest."""

    values: Tensor
    vectors: Tensor
    residuals: Tensor


def eigh_extreme(
    s: Tensor, which: Literal["both", "lowest", "highest"] = "both", tol: float | None = None
) -> ExtremePairs:
    """Lowest and highest eigenpair of many symmetric matrices, to a stated residual.

    Splitting a neuron along a unit vector v changes the loss by about ½ ε² vᵀSv, so the lowest eigenpair of its
    splitting matrix S says how to split it and what that gains; signed splitting needs the highest as well.

    Small matrices are reduced to tridiagonal form many at a time, one per SIMD lane; large ones go through Lanczos with
    full re-orthogonalisation from a fixed patternless start. What does not reach ``tol`` is repeated directly in
    float64, so that an answer always has the residual that it states.

    Args:
        s: [m, d, d], float32 or float64, symmetric; only the lower triangle is read. d ≥ 1.
        which: the ends wanted.
        tol: the largest residual ``‖Sv - λv‖ / ‖S‖₂`` allowed, by default 1e-5 (float32) or 1e-10 (float64).

    Returns:
        values: [m, 2] (lowest, highest) or [m, 1], in the units of ``s``.
        vectors: [m, 2, d] or [m, 1, d], unit rows; sign, and the choice among equal eigenvalues, are arbitrary.
        residuals: like ``values``, measured in float64 on the vectors as returned, and at most ``tol``.

    Raises:
        ShapeError: ``s`` is not [m, d, d] of float32 or float64.
        ArgumentError: ``which`` is unknown, or ``tol`` is below what the dtype can reach.
        RuntimeError: a matrix has a NaN or infinite entry; the message names its index.

    Source: G. Golub, C. Van Loan, "Matrix Computations", 8.3 (tridiagonal form, bisection) and 10.1-10.3 (Lanczos).
    """
    require(s.dim() == 3 and s.shape[1] == s.shape[2], f"s must be [m, d, d], not {shape(s)}")
    require(s.shape[1] >= 1, f"s must have d ≥ 1, not {shape(s)}")
    require(s.dtype in DEFAULT_TOL, f"s must be float32 or float64, not {s.dtype}")
    require_value(which in ("both", "lowest", "highest"), f"which must be both, lowest or highest, not {which!r}")
    tol = DEFAULT_TOL[s.dtype] if tol is None else tol
    floor = reachable_tol(s.dtype, s.shape[1])
    require_value(tol >= floor, f"tol must be at least {floor:.1e} for {s.dtype} and d = {s.shape[1]}, not {tol}")
    return ExtremePairs(*torch.ops.netsculpt.eigh_extreme(s, which, tol))


def reachable_tol(dtype: torch.dtype, d: int) -> float:
    """The smallest residual that is always reached for matrices of size d.

    float32 matrices can be repeated in float64, which leaves the rounding of the vector itself; float64 ones cannot.
    """
    eps = torch.finfo(dtype).eps
    return 4 * eps if dtype == torch.float32 else 64 * math.sqrt(d) * eps


def _fake(s: Tensor, which: str, tol: float) -> tuple[Tensor, Tensor, Tensor]:
    m, d, ends = s.shape[0], s.shape[1], 2 if which == "both" else 1
    return s.new_empty(m, ends), s.new_empty(m, ends, d), s.new_empty(m, ends)


register("eigh_extreme", _fake)
