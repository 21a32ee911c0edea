"""What a gather means for tensors that follow a parameter, on the way there and on the way back."""

from collections.abc import Collection

import torch
from torch import Tensor

from netsculpt.graph.gather import Gather


def powered(gather: Gather, power: int) -> Gather:
    """The same entries with every factor raised to ``power``."""
    return Gather(gather.index, {dim: scale**power for dim, scale in gather.scale.items()} if power else {})


def magnitude(gather: Gather) -> Gather:
    """The same entries with the absolute values of the factors."""
    return Gather(gather.index, {dim: scale.abs() for dim, scale in gather.scale.items()})


def on_dims(gather: Gather, dims: Collection[int]) -> Gather:
    """The part of the gather that concerns ``dims``."""
    return Gather(
        {dim: index for dim, index in gather.index.items() if dim in dims},
        {dim: scale for dim, scale in gather.scale.items() if dim in dims},
    )


def without_copies(gather: Gather) -> Gather:
    """The same gather, with new entries wherever an old one is taken more than once."""
    index = {}
    for dim, old in gather.index.items():
        _, inverse, count = old.unique(return_inverse=True, return_counts=True)
        index[dim] = torch.where(count[inverse] > 1, -1, old)
    return Gather(index, gather.scale)


def follow(gather: Gather, average: Tensor, added: Tensor | None, fill: float = 0.0) -> Tensor:
    """An average of a tensor's past values, edited as the tensor was: gathered, plus what was added to the tensor.

    Args:
        gather: the tensor's.
        average: of the old tensor's shape.
        added: what the new tensor has ``beyond`` the gather, or None.
        fill: what new entries hold before that.
    """
    edited = gather.gather(average, fill)
    if added is None:
        return edited
    added = added.to(edited.device, edited.dtype)
    return edited + added if is_inexact(edited) else added.clone()


def beyond(value: Tensor, gathered: Tensor) -> Tensor:
    """What a given value has beyond what the gather made: the difference, or for integers the value itself."""
    value = value.detach().to(gathered.device, gathered.dtype)
    return value - gathered if is_inexact(gathered) else value


def is_inexact(tensor: Tensor) -> bool:
    """Whether a tensor can be trained: it is of real or complex numbers, not of integers."""
    return tensor.is_floating_point() or tensor.is_complex()


def merge(gather: Gather, new: Tensor, old: Tensor, added: Tensor | None = None) -> Tensor:
    """What ``old`` is after training went on in ``new``: the inverse of the gather as far as there is one.

    Along each dim an old entry becomes the sum of its copies divided by the sum of their factors, which gives back
    every entry that was not trained: the mean of plain copies, the sum of copies whose factors sum to one, the value
    divided by its factor where there is one copy. Entries of which nothing is left (no copy, or factors that sum to
    zero) are ``old``'s own; new entries vanish. Integer tensors take the first copy, or are ``old`` where they had
    been given values.

    Args:
        gather: how ``new`` was made of ``old``.
        new: the trained tensor.
        old: what it was made of.
        added: what ``new`` had ``beyond`` the gather before it was trained; it is taken off first.

    Returns:
        ``old``'s shape, with ``new``'s dtype and on its device.
    """
    old = old.detach().to(new.device, new.dtype)
    exact = not is_inexact(new)
    if exact and added is not None:
        return old.clone()
    merged, lost = new.detach() if added is None else new.detach() - added.to(new.device, new.dtype), {}
    for dim in {*gather.index, *gather.scale}:
        size = old.shape[dim]
        if exact:
            first = _first_copies(gather, dim, size)
            merged, lost[dim] = Gather({dim: first}).gather(merged), first < 0
        elif dim in gather.scale or not gather.is_identity(dim, size):
            total = _spread(_factors(gather, dim, size), gather, dim=dim, along=0, size=size)
            shape = [-1 if place == dim else 1 for place in range(old.dim())]
            merged = _spread(merged, gather, dim=dim, along=dim, size=size) / total.to(new.device).reshape(shape)
            lost[dim] = total == 0
    merged = merged.to(new.dtype, copy=True)
    for dim, mask in lost.items():
        gone = mask.nonzero()[:, 0].to(new.device)
        merged.index_copy_(dim, gone, old.index_select(dim, gone))
    return merged


def pull_back(gather: Gather, gradient: Tensor, old: Tensor) -> Tensor:
    """The gradient with respect to ``old`` of a loss whose gradient at ``gather.gather(old)`` is given.

    Args:
        gather: how the new tensor was made.
        gradient: of the new tensor's shape.
        old: gives the shape.

    Returns:
        ``old``'s shape, ``gradient``'s dtype; zero where an entry was removed.
    """
    if gradient.is_sparse:
        return pull_back(gather, gradient.to_dense(), old).to_sparse(gradient.sparse_dim())
    pulled = gradient.detach()
    for dim in {*gather.index, *gather.scale}:
        size = old.shape[dim]
        shape = [-1 if place == dim else 1 for place in range(old.dim())]
        factors = _factors(gather, dim, size).to(pulled.device).reshape(shape)
        pulled = _spread(pulled * factors, gather, dim=dim, along=dim, size=size)
    return pulled.to(gradient.dtype, copy=True)


def _factors(gather: Gather, dim: int, size: int) -> Tensor:
    length = len(gather.index[dim]) if dim in gather.index else size
    return gather.scale.get(dim, torch.ones(length, dtype=torch.float64)).to(torch.float64)


def _spread(tensor: Tensor, gather: Gather, *, dim: int, along: int, size: int) -> Tensor:
    """Adds the entries along a dim of ``tensor`` where ``gather`` took those of ``dim`` from, in float64."""
    index = gather.index.get(dim, torch.arange(size)).to(tensor.device)
    kept = (index >= 0).nonzero()[:, 0]
    shape = [*tensor.shape[:along], size, *tensor.shape[along + 1 :]]
    total = torch.zeros(shape, dtype=torch.promote_types(tensor.dtype, torch.float64), device=tensor.device)
    return total.index_add_(along, index[kept], tensor.index_select(along, kept).to(total.dtype))


def _first_copies(gather: Gather, dim: int, size: int) -> Tensor:
    """For each old entry where its first copy is, or -1: int64 [size]."""
    index = gather.index.get(dim, torch.arange(size))
    kept = (index >= 0).nonzero()[:, 0]
    return torch.full((size,), -1).scatter_reduce_(0, index[kept].cpu(), kept.cpu(), "amin", include_self=False)
