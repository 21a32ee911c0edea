import torch
from torch import Tensor


def taylor_gain(a: Tensor, g: Tensor) -> Tensor:
    product = (a.double() * g.double()).reshape(*a.shape[:2], a.shape[2:].numel())
    per_sample = product.sum(2)
    return torch.stack([per_sample.sum(0), product.abs().sum((0, 2)), per_sample.square().sum(0)])
