"""Sums over the processes that measure together, and failing together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed

from netsculpt.errors import MeasureError

T = TypeVar("T")


def several() -> bool:
    """Whether processes measure together."""
    return distributed.is_available() and distributed.is_initialized()


def summed(tensor: Tensor) -> Tensor:
    """The sum over all ranks, in place; on the processes' GPUs where their backend knows no other memory."""
    return _everywhere(tensor, distributed.all_reduce) if several() else tensor


def first(tensor: Tensor) -> Tensor:
    """What the first rank has, in place: what was computed alike may still differ by rounding."""
    return _everywhere(tensor, lambda each: distributed.broadcast(each, 0)) if several() else tensor


def least(number: int) -> int:
    """The smallest of the numbers that the ranks have."""
    if not several():
        return number
    tensor = _everywhere(torch.tensor(number), lambda each: distributed.all_reduce(each, distributed.ReduceOp.MIN))
    return int(tensor)


def averaged(tensors: Sequence[Tensor | None], like: Sequence[Tensor], weight: float) -> list[Tensor | None]:
    """Means over the ranks by one message, at least in float32.

    Args:
        tensors: of every rank; None where there is nothing, which counts as zeros unless it is nowhere.
        like: tensors of their shapes and dtypes, of one device.
        weight: of this rank.
    """
    if not several():
        return list(tensors)
    head = torch.tensor([weight, *(float(each is not None) for each in tensors)], dtype=torch.float32)
    body = [torch.zeros_like(there) if each is None else each for each, there in zip(tensors, like, strict=True)]
    wide = [each.detach().flatten().to(torch.promote_types(each.dtype, head.dtype)) for each in body]
    found = summed(torch.cat([head.to(wide[0].device), *(each * weight for each in wide)]))
    total, there = found[0], found[1 : len(head)].tolist()
    parts = found[len(head) :].split([each.numel() for each in like])
    return [
        (part / total).reshape(each.shape).to(each.dtype) if present else None
        for part, each, present in zip(parts, like, there, strict=True)
    ]


def together(compute: Callable[[], T]) -> T:
    """What ``compute`` returns on this rank; where it fails on one rank it fails on all, who would wait for it else.

    Args:
        compute: does not talk to other ranks.

    Raises:
        MeasureError: it failed on another rank. On the rank itself, what was raised there.
    """
    if not several():
        return compute()
    failure: Exception | None = None
    try:
        result = compute()
    except Exception as error:
        failure = error
    if not float(summed(torch.tensor(float(failure is not None)))):
        return result
    outcomes: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(outcomes, None if failure is None else f"{type(failure).__name__}: {failure}")
    if failure is not None:
        raise failure
    rank, why = next((rank, each) for rank, each in enumerate(outcomes) if each is not None)
    raise MeasureError(f"rank {rank} failed with {why}")


def _everywhere(tensor: Tensor, talk: Callable[[Tensor], Any]) -> Tensor:
    if tensor.is_cpu and distributed.get_backend() == "nccl":
        there = tensor.to(torch.device("cuda", torch.cuda.current_device()))
        talk(there)
        return tensor.copy_(there)
    talk(tensor)
    return tensor
