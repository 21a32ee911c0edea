from collections.abc import Sequence

import torch
from torch import Tensor

from netsculpt.errors import ShapeError
from netsculpt.ops._register import register, require, shape
from netsculpt.ops._taylor import FLOATING, TaylorGain


def taylor_gain_params(params: Sequence[Tensor], grads: Sequence[Tensor | None], dims: Sequence[int]) -> TaylorGain:
    """First-order change of the loss when the parameters of a channel are scaled, over all tensors it lives in.

    Scaling every value that belongs to channel c by 1 + ε changes the loss by ``ε · signed[c]``. One call, and on CUDA
    one launch, serves the whole list: a producer's weight and bias, norms, consumers.

    Args:
        params: tensors of any shape, float32, float64, bfloat16 or float16, on one device; at least one.
        grads: as many, each of its parameter's shape and dtype. None is refused: leave unused parameters out.
        dims: as many; ``dims[i]`` is the channel dimension of ``params[i]`` (negative counts from the end). All
            parameters have the same size C there.

    Returns:
        TaylorGain of three float64 [C]: ``signed`` (Σ θ·g over the list and the channel's slices), ``absolute``
        (Σ |θ·g|), in units of the loss, and ``squared`` (Σ over the list of (Σ over the slice)²), in its square.
        Deterministic and exact as ``taylor_gain`` is.

    Raises:
        ShapeError: the lists are empty or differ in length, a gradient is None or unlike its parameter, a dimension is
            out of range, or the channel counts differ.

    Source: P. Molchanov et al., "Importance Estimation for Neural Network Pruning" (2019), equation 8, over groups of
    parameters that are removed together.
    """
    require(len(params) > 0, "params must hold at least one tensor, not none")
    require(len(grads) == len(params), f"grads must hold one tensor per parameter ({len(params)}), not {len(grads)}")
    require(len(dims) == len(params), f"dims must hold one dimension per parameter ({len(params)}), not {len(dims)}")
    channels = 0
    given: list[Tensor] = []
    positive: list[int] = []
    for i, (param, grad, dim) in enumerate(zip(params, grads, dims, strict=True)):
        if grad is None:
            raise ShapeError(f"grads[{i}] is None: the loss does not depend on params[{i}]; leave it out")
        if (sentence := _complaint(i, param, grad, dim, params[0].device)) is not None:
            raise ShapeError(sentence)
        channels = channels if i else param.shape[dim]
        if param.shape[dim] != channels:
            found = f"dimension {dim}, not {param.shape[dim]}"
            raise ShapeError(f"params[{i}] must have params[0]'s {channels} channels in {found}")
        given.append(grad)
        positive.append(dim % param.dim())
    return TaylorGain(*torch.ops.netsculpt.taylor_gain_params(list(params), given, positive).unbind())


def _complaint(i: int, param: Tensor, grad: Tensor, dim: int, device: torch.device) -> str | None:
    """What is wrong with entry ``i``; sentences are made only where needed, since lists are long and tensors small."""
    if param.dtype not in FLOATING:
        return f"params[{i}] must be float32, float64, bfloat16 or float16, not {param.dtype}"
    if grad.shape != param.shape:
        return f"grads[{i}] must have params[{i}]'s shape {shape(param)}, not {shape(grad)}"
    if grad.dtype != param.dtype:
        return f"grads[{i}] must have params[{i}]'s dtype {param.dtype}, not {grad.dtype}"
    for name, t in (("params", param), ("grads", grad)):
        if t.device != device:
            return f"{name}[{i}] must be on params[0]'s device {device}, not {t.device}"
    if not -param.dim() <= dim < param.dim():
        return f"dims[{i}] must be a dimension of params[{i}], which has shape {shape(param)}, not {dim}"
    return None


def _fake(params: Sequence[Tensor], grads: Sequence[Tensor], dims: Sequence[int]) -> Tensor:
    return params[0].new_empty(3, params[0].shape[dims[0]], dtype=torch.float64)


register("taylor_gain_params", _fake)
