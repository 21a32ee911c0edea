import torch
from torch import Tensor

from netsculpt.errors import BackwardError
from netsculpt.ops._register import register, require, shape

FLOATING = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def weighted_gram(x: Tensor, q: Tensor, out: Tensor | None = None, accumulate: bool = False) -> Tensor:
    """Weighted Gram matrices of many units at once: ``S[k] = sum_p q[p, k] x_p x_pᵀ``.

    These are the splitting matrices: halving a neuron along v changes the loss by ``½ ε² vᵀ S[k] v`` when q holds
    what the loss says about the neuron's curvature. All units share the products x_p x_pᵀ, and only the pairs
    i ≤ j are formed: half the work of one product ``xᵀ (q[:, k] ∘ x)`` per unit.

    Args:
        x: [n, d], or [n, g, d] for the g groups of a grouped convolution; float32, float64, bfloat16 or float16,
            any strides.
        q: [n, m] or [n, g, m], of x's dtype, any strides; of any sign.
        out: where to write: the shape of the result, contiguous, float32 or float64 (float64 for float64 x). A
            float64 ``out`` takes sums of blocks of rows in float64, so batch after batch can be added to it.
        accumulate: add to ``out``, whose matrices must be symmetric.

    Returns:
        [m, d, d] or [g, m, d, d]: ``out`` where given, else float32, or float64 for float64 x. Symmetric to the bit;
        in the units of q times those of x squared.

    Raises:
        ShapeError: the shapes, dtypes or devices do not agree, or ``accumulate`` without ``out``.
        BackwardError: ``out`` is given and x, q or out requires a gradient.

    Source: L. Wu, D. Wang, Q. Liu, "Splitting Steepest Descent for Growing Neural Architectures" (2019), the
    splitting matrix.
    """
    check_rows(x, q)
    if out is None:
        require(not accumulate, "accumulate needs out: there is nothing to add to")
        result: Tensor = torch.ops.netsculpt.weighted_gram(x, q)
        return result
    _check_out(x, q, out)
    torch.ops.netsculpt.weighted_gram.out(x, q, accumulate=accumulate, out=out)
    return out


def check_rows(x: Tensor, q: Tensor) -> None:
    """What weighted_gram and weighted_normal ask of the rows and their weights."""
    require(x.dim() in (2, 3), f"x must be [n, d] or [n, g, d], not {shape(x)}")
    require(x.dtype in FLOATING, f"x must be float32, float64, bfloat16 or float16, not {x.dtype}")
    rows = list(x.shape[:-1])
    wanted = "[" + ", ".join(str(size) for size in [*rows, "m"]) + "]"
    require(q.dim() == x.dim() and list(q.shape[:-1]) == rows, f"q must be {wanted} like x's rows, not {shape(q)}")
    require(q.dtype == x.dtype, f"q must have x's dtype {x.dtype}, not {q.dtype}")
    require(q.device == x.device, f"q must be on x's device {x.device}, not {q.device}")


def result_dtype(x: Tensor) -> torch.dtype:
    """float32 for the half precisions too."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _result_shape(x: Tensor, q: Tensor) -> list[int]:
    return [*x.shape[1:-1], q.shape[-1], x.shape[-1], x.shape[-1]]


def _check_out(x: Tensor, q: Tensor, out: Tensor) -> None:
    wanted = _result_shape(x, q)
    require(list(out.shape) == wanted, f"out must be {wanted}, not {shape(out)}")
    require(out.is_contiguous(), f"out must be contiguous, not strided by {list(out.stride())}")
    allowed = (torch.float64,) if x.dtype == torch.float64 else (torch.float32, torch.float64)
    names = " or ".join(str(dtype) for dtype in allowed)
    require(out.dtype in allowed, f"out must be {names} for x of {x.dtype}, not {out.dtype}")
    require(out.device == x.device, f"out must be on x's device {x.device}, not {out.device}")
    if torch.is_grad_enabled() and (x.requires_grad or q.requires_grad or out.requires_grad):
        raise BackwardError("weighted_gram has no backward: call it under torch.no_grad() or on detached tensors")


def _fake(x: Tensor, q: Tensor) -> Tensor:
    return x.new_empty(_result_shape(x, q), dtype=result_dtype(x))


def _fake_out(x: Tensor, q: Tensor, *, accumulate: bool, out: Tensor) -> None:
    return None


register("weighted_gram", _fake)
register("weighted_gram.out", _fake_out, mutates=True)
