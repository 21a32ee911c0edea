"""Tensors that take another's place in a model, and whether one has been written to since."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from netsculpt.edit.carry import merge, pull_back
from netsculpt.graph.gather import Gather


def successor(old: Tensor, data: Tensor, gradient: Gather) -> Tensor:
    """A tensor with new data that is otherwise ``old``: class, ``requires_grad``, gradient, hooks, attributes.

    The dicts of hooks are shared, so a handle that was got for ``old`` removes its hook here too. Hooks on the
    ``AccumulateGrad`` node, which only data-parallel wrappers use, belong to the old tensor and stay with it.

    Args:
        old: a parameter or buffer.
        data: its new values, of ``old``'s dtype and device.
        gradient: how ``old.grad`` is carried over.
    """
    if not isinstance(old, nn.Parameter):
        new = data.requires_grad_(old.requires_grad)
    elif type(old) is nn.Parameter:
        new = nn.Parameter(data, requires_grad=old.requires_grad)
    else:
        new = torch.Tensor._make_subclass(type(old), data, old.requires_grad)
    new.__dict__.update(old.__dict__)
    new._backward_hooks = old._backward_hooks
    new._post_accumulate_grad_hooks = old._post_accumulate_grad_hooks
    if old.grad is not None:
        if old.grad.dtype != old.dtype:
            new.grad_dtype = old.grad.dtype
        new.grad = gradient.gather(old.grad)
    return new


@dataclass
class Stamp:
    """What a tensor was at one moment: identity, version, dtype, device and a sum of its bits.

    The version alone would not do: torch's fused optimizers on the CPU, and everything written through ``.data``,
    leave it as it was.
    """

    tensor: Tensor | None
    version: int = field(init=False, default=0)
    kind: tuple[torch.dtype, torch.device] | None = field(init=False, default=None)
    bits: Tensor | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.tensor is not None:
            self.version = self.tensor._version
            self.kind = (self.tensor.dtype, self.tensor.device)
            self.bits = _bits(self.tensor)

    def matches(self, tensor: Tensor | None) -> bool:
        """Whether it is the same tensor, and nobody has written to it."""
        if tensor is None or self.tensor is None or self.bits is None:
            return tensor is self.tensor
        same = tensor is self.tensor and tensor._version == self.version
        return same and self.kind == (tensor.dtype, tensor.device) and bool(_bits(tensor) == self.bits)


@torch.no_grad()
def return_training(
    gather: Gather, added: Tensor | None, new: Tensor, old: Tensor, value: Stamp, gradient: Stamp
) -> bool:
    """Brings what was trained in ``new`` back into ``old``.

    Args:
        gather: how ``new`` was made of ``old``.
        added: what ``new`` had beyond that.
        new: the tensor that was trained, or not.
        old: what it was made of; written to only where ``new`` was.
        value: stamp of ``new`` when the edit was committed.
        gradient: stamp of its gradient then.

    Returns:
        Whether ``new``'s values were as they had been, so that ``old`` needed none of them.
    """
    untouched = value.matches(new)
    if not untouched:
        _write(old, merge(gather, new, old, added))
    if not gradient.matches(new.grad):
        old.grad = None if new.grad is None else pull_back(gather, new.grad, old)
    old.requires_grad_(new.requires_grad)
    return untouched


def _write(tensor: Tensor, value: Tensor) -> None:
    """Writes values into a tensor, which takes their device; the new dtype too if the model was cast meanwhile."""
    if (tensor.dtype, tensor.device) == (value.dtype, value.device):
        tensor.copy_(value)
    else:
        tensor.grad = None
        tensor.data = value
        torch.autograd.graph.increment_version(tensor)


def _bits(tensor: Tensor) -> Tensor:
    """The sum of the tensor's bits taken as integers, modulo 2^64; reads memory once, at its speed."""
    tensor = tensor.detach()
    if tensor.layout != torch.strided:
        return torch.tensor(0)
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    flat = tensor.permute(order).reshape(-1).view(torch.uint8)
    if flat.storage_offset() % 8:
        flat = flat.clone()
    words = len(flat) // 8 * 8
    return flat[:words].view(torch.int64).sum() + flat[words:].sum(dtype=torch.int64)
