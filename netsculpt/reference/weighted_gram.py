import torch
from torch import Tensor


def weighted_gram(x: Tensor, q: Tensor) -> Tensor:
    return _sum(x, q).to(torch.float64 if x.dtype == torch.float64 else torch.float32)


def weighted_gram__out(x: Tensor, q: Tensor, *, accumulate: bool, out: Tensor) -> None:
    out.copy_(out.double() + _sum(x, q) if accumulate else _sum(x, q))


def _sum(x: Tensor, q: Tensor) -> Tensor:
    total = torch.einsum("n...k,n...i,n...j->...kij", q.double(), x.double(), x.double())
    return (total + total.mT) / 2  # einsum may round the two triangles differently
