"""The convolutional network that grows: three strided layers, as narrow as asked."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn

SEED_WIDTHS = (8, 8, 8)


def build(widths: Sequence[int], seed: int) -> nn.Sequential:
    """28 × 28 → 14 → 7 → 4, batch norm and SiLU after each, then the mean over places and a linear layer."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in pairwise((1, *widths)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.SiLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))


def widths_of(model: nn.Module) -> list[int]:
    return [layer.out_channels for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def uniform(parameters: int) -> list[int]:
    """The equal widths whose network has closest to so many parameters."""

    def distance(width: int) -> int:
        return abs(sum(each.numel() for each in build([width] * 3, 0).parameters()) - parameters)

    return [min(range(1, 513), key=distance)] * 3
