import torch
from torch import Tensor


def weighted_gram(x: Tensor, q: Tensor) -> Tensor:
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return torch.einsum("n...k,n...i,n...j->...kij", q.double(), x.double(), x.double()).to(dtype)


def weighted_gram__out(x: Tensor, q: Tensor, *, accumulate: bool, out: Tensor) -> None:
    total = torch.einsum("n...k,n...i,n...j->...kij", q.double(), x.double(), x.double())
    out.copy_(out + total if accumulate else total)
