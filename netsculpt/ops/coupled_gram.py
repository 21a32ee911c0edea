import torch
from torch import Tensor

from netsculpt.ops._register import register, require, shape


def coupled_gram(cov: Tensor, weights: Tensor, places: int) -> Tensor:
    """Gram matrix of the contributions that units make through a consumer with several places each.

    A channel that a k×k convolution consumes reaches it through k·k places, so the inner product of two
    channels' contributions sums a block of ``cov * weights``:
    ``K[i, j] = sum_pq cov[(i, p), (j, q)] * weights[(i, p), (j, q)]``.

    Args:
        cov: [units·places, units·places], float32 or float64, symmetric: patch covariance, unit-major.
        weights: the same shape and dtype, symmetric: Gram matrix ``WᵀW`` of the consumer's weights.
        places: places of one unit, ≥ 1 (k·k of a convolution's kernel, 1 for a linear layer).

    Returns:
        [units, units], of the inputs' dtype, symmetric to the bit; summed in float64.

    Raises:
        ShapeError: the matrices are not square and alike, or ``places`` does not divide their size.

    Source: M. Ye, L. Wu, Q. Liu, "Greedy Optimization Provably Wins the Lottery" (2020), local imitation; the
    factorisation for convolutions is derived here.
    """
    require(cov.dim() == 2 and cov.shape[0] == cov.shape[1], f"cov must be a square matrix, not {shape(cov)}")
    require(weights.shape == cov.shape, f"weights must have cov's shape {shape(cov)}, not {shape(weights)}")
    require(cov.dtype in (torch.float32, torch.float64), f"cov must be float32 or float64, not {cov.dtype}")
    require(weights.dtype == cov.dtype, f"weights must have cov's dtype {cov.dtype}, not {weights.dtype}")
    require(weights.device == cov.device, f"weights must be on cov's device {cov.device}, not {weights.device}")
    require(places >= 1 and cov.shape[0] % places == 0, f"places must divide cov's size {cov.shape[0]}, not {places}")
    return torch.ops.netsculpt.coupled_gram(cov, weights, places)


def _fake(cov: Tensor, weights: Tensor, places: int) -> Tensor:
    units = cov.shape[0] // places
    return cov.new_empty(units, units)


register("coupled_gram", _fake)
