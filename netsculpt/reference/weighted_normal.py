import torch
from torch import Tensor


def weighted_normal(x: Tensor, q: Tensor, v: Tensor) -> Tensor:
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    weighted = q.double() * torch.einsum("n...i,...ki->n...k", x.double(), v.double())
    return torch.einsum("n...k,n...i->...ki", weighted, x.double()).to(dtype)
