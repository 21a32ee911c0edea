from collections.abc import Sequence

import torch
from torch import Tensor


def taylor_gain_params(params: Sequence[Tensor], grads: Sequence[Tensor], dims: Sequence[int]) -> Tensor:
    rows = []
    for param, grad, dim in zip(params, grads, dims, strict=True):
        product = (param.double() * grad.double()).movedim(dim, 0).unsqueeze(-1).flatten(1)
        per_channel = product.sum(1)
        rows.append(torch.stack([per_channel, product.abs().sum(1), per_channel.square()]))
    return torch.stack(rows).sum(0)
