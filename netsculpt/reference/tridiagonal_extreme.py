import torch
from torch import Tensor


def tridiagonal_extreme(alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    off = beta.double()
    matrices = torch.diag_embed(alpha.double()) + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    values, vectors = torch.linalg.eigh(matrices)
    ends = values[:, [0, -1]], vectors[:, :, [0, -1]].mT.contiguous()
    return ends[0].to(alpha.dtype), ends[1].to(alpha.dtype)
