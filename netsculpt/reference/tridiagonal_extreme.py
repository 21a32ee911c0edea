import torch
from torch import Tensor


def tridiagonal_extreme(alpha: Tensor, beta: Tensor) -> tuple[Tensor, Tensor]:
    off = beta.double()
    matrices = torch.diag_embed(alpha.double()) + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)
    bad = ~matrices.isfinite().flatten(1).all(1)
    values, vectors = torch.linalg.eigh(matrices.masked_fill(bad[:, None, None], 0))
    values, vectors = values.masked_fill(bad[:, None], torch.nan), vectors.masked_fill(bad[:, None, None], torch.nan)
    ends = values[:, [0, -1]], vectors[:, :, [0, -1]].mT.contiguous()
    return ends[0].to(alpha.dtype), ends[1].to(alpha.dtype)
