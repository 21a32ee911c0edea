import torch
from torch import Tensor

from netsculpt.ops._register import register, require, shape
from netsculpt.ops.weighted_gram import check_rows, result_dtype


def weighted_normal(x: Tensor, q: Tensor, v: Tensor) -> Tensor:
    """All products of weighted Gram matrices with a vector each, without the matrices: ``xᵀ (q ∘ (x vᵀ))``.

    Row k is ``S[k] v[k]`` with ``S`` of ``weighted_gram``, in 4·n·m·d operations instead of n·m·d²: what an iterative
    eigensolver needs where d is too large for the matrices. x is read from memory once per call.

    Args:
        x: [n, d], or [n, g, d] for the g groups of a grouped convolution; float32, float64, bfloat16 or float16,
            any strides.
        q: [n, m] or [n, g, m], of x's dtype, any strides; of any sign.
        v: [m, d] or [g, m, d], one vector for each unit, of x's dtype or the result's, any strides.

    Returns:
        [m, d] or [g, m, d], float32, or float64 for float64 x; in the units of q times those of x squared times v's.

    Raises:
        ShapeError: the shapes, dtypes or devices do not agree.

    Source: D. Wang, M. Li, L. Wu, V. Chandra, Q. Liu, "Energy-Aware Neural Architecture Optimization With Splitting
    Steepest Descent" (2019), the Rayleigh-quotient products.
    """
    check_rows(x, q)
    wanted = [*x.shape[1:-1], q.shape[-1], x.shape[-1]]
    require(list(v.shape) == wanted, f"v must be {wanted}, not {shape(v)}")
    require(
        v.dtype in (x.dtype, result_dtype(x)), f"v must be {' or '.join(_dtypes(x))} for x of {x.dtype}, not {v.dtype}"
    )
    require(v.device == x.device, f"v must be on x's device {x.device}, not {v.device}")
    result: Tensor = torch.ops.netsculpt.weighted_normal(x, q, v)
    return result


def _dtypes(x: Tensor) -> list[str]:
    return list(dict.fromkeys([str(x.dtype), str(result_dtype(x))]))


def _fake(x: Tensor, q: Tensor, v: Tensor) -> Tensor:
    return x.new_empty(v.shape, dtype=result_dtype(x))


register("weighted_normal", _fake)
