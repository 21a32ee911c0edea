from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.ops._register import register, require, shape


class TridiagonalPairs(NamedTuple):
    """Eigenpairs in the order lowest, highest."""

    values: Tensor
    vectors: Tensor


def tridiagonal_extreme(alpha: Tensor, beta: Tensor) -> TridiagonalPairs:
    """Lowest and highest eigenpair of many symmetric tridiagonal matrices.

    Lanczos turns each unit's splitting matrix into a small tridiagonal one, whose extreme eigenpairs are the Ritz
    pairs; ``beta_k · |last entry of the vector|`` is the residual that the Ritz pair has after k steps.

    Args:
        alpha: [m, k], the diagonals, float32 or float64, k ≥ 1.
        beta: [m, k - 1], the off-diagonals, same dtype.

    Returns:
        values: [m, 2], lowest and highest, in the units of ``alpha``.
        vectors: [m, 2, k], unit rows of arbitrary sign.
        A matrix with a NaN or infinite entry gets NaN for both.

    Raises:
        ShapeError: the shapes or dtypes do not fit together.

    Source: Sturm bisection and inverse iteration, G. Golub, C. Van Loan, "Matrix Computations", 8.4.
    """
    require(alpha.dim() == 2 and alpha.shape[1] >= 1, f"alpha must be [m, k] with k ≥ 1, not {shape(alpha)}")
    m, k = alpha.shape
    require(beta.shape == (m, k - 1), f"beta must be {[m, k - 1]} for this alpha, not {shape(beta)}")
    require(alpha.dtype in (torch.float32, torch.float64), f"alpha must be float32 or float64, not {alpha.dtype}")
    require(beta.dtype == alpha.dtype, f"beta must have alpha's dtype {alpha.dtype}, not {beta.dtype}")
    require(beta.device == alpha.device, f"beta must be on alpha's device {alpha.device}, not {beta.device}")
    return TridiagonalPairs(*torch.ops.netsculpt.tridiagonal_extreme(alpha, beta))


def _fake(alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    m, k = alpha.shape
    return alpha.new_empty(m, 2), alpha.new_empty(m, 2, k)


register("tridiagonal_extreme", _fake)
