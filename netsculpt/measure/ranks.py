"""Sums over the processes that measure together."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def several() -> bool:
    """Whether processes measure together."""
    return distributed.is_available() and distributed.is_initialized()


def summed(tensor: Tensor) -> Tensor:
    """The sum over all ranks, in place; on the processes' GPUs where their backend knows no other memory."""
    if not several():
        return tensor
    if tensor.is_cpu and distributed.get_backend() == "nccl":
        there = tensor.to(torch.device("cuda", torch.cuda.current_device()))
        distributed.all_reduce(there)
        return tensor.copy_(there)
    distributed.all_reduce(tensor)
    return tensor
