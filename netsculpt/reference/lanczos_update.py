import torch
from torch import Tensor


def lanczos_update(basis: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    q, rest = basis.double(), r.double()
    start = rest.norm(dim=1)
    alpha = (q[:, -1] * rest).sum(1)
    for _ in range(3):
        rest = rest - torch.einsum("mkd,mk->md", q, torch.einsum("mkd,md->mk", q, rest))
    beta = rest.norm(dim=1)
    beta = torch.where(beta <= 8 * torch.finfo(r.dtype).eps * start, 0, beta)
    following = torch.where(beta[:, None] == 0, 0, rest / beta[:, None])
    return alpha.to(r.dtype), beta.to(r.dtype), following.to(r.dtype)
