from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.ops._register import register, require, shape


class LanczosStep(NamedTuple):
    """One more row of each unit's tridiagonal matrix, and its next basis vector."""

    alpha: Tensor
    beta: Tensor
    next: Tensor


def lanczos_update(basis: Tensor, r: Tensor) -> LanczosStep:
    """One Lanczos step for all units of a layer, given the products with their newest basis vectors.

    With ``r = S q_k`` it takes the diagonal entry ``alpha = q_kᵀ r``, makes r orthogonal to the whole basis (as often
    as rounding demands) and normalises what is left. A unit whose basis already spans an invariant subspace gets
    ``beta = 0`` and a zero vector; every later step then gives it ``alpha = 0``, which is to be replaced by any entry
    inside its spectrum, such as its first ``alpha``, before extreme eigenvalues are read off.

    Args:
        basis: [m, k, d], orthonormal rows, oldest first, float32 or float64, k ≥ 1; a slice of a larger buffer is fine.
        r: [m, d], the products with ``basis[:, -1]``, same dtype.

    Returns:
        alpha: [m], in the units of S; summed in float64.
        beta: [m], ≥ 0, the next off-diagonal entry.
        next: [m, d], unit rows (or zero), orthogonal to the basis to rounding.

    Raises:
        ShapeError: the shapes or dtypes do not fit together.

    Source: G. Golub, C. Van Loan, "Matrix Computations", 10.1 and 10.3 (complete re-orthogonalisation).
    """
    require(basis.dim() == 3 and basis.shape[1] >= 1, f"basis must be [m, k, d] with k ≥ 1, not {shape(basis)}")
    m, _, d = basis.shape
    require(r.shape == (m, d), f"r must be {[m, d]} for this basis, not {shape(r)}")
    require(basis.dtype in (torch.float32, torch.float64), f"basis must be float32 or float64, not {basis.dtype}")
    require(r.dtype == basis.dtype, f"r must have basis's dtype {basis.dtype}, not {r.dtype}")
    require(r.device == basis.device, f"r must be on basis's device {basis.device}, not {r.device}")
    return LanczosStep(*torch.ops.netsculpt.lanczos_update(basis, r))


def _fake(basis: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    m, d = r.shape
    return r.new_empty(m), r.new_empty(m), r.new_empty(m, d)


register("lanczos_update", _fake)
