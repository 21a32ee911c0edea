"""The network whose middle layer is pruned. Needs torch alone, so that a peer's environment can use it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Layer(NamedTuple):
    """`units` that are chosen from, `keep` of them, and pictures of size × size that they are measured on."""

    units: int
    keep: int
    size: int
    pictures: int

    @property
    def positions(self) -> int:
        return self.pictures * self.size**2


LAYERS = {"wide": Layer(512, 256, 16, 32), "tiny": Layer(32, 16, 6, 4)}
CONSUMER = 3  # index of the layer that takes the units
KERNEL = 3


def network(layer: Layer) -> tuple[nn.Sequential, Tensor, Tensor]:
    """The same at every call, in eval mode, with inputs and classes."""
    torch.manual_seed(0)
    units = layer.units
    model = nn.Sequential(
        nn.Conv2d(3, units, KERNEL, padding=1, bias=False),
        nn.BatchNorm2d(units),
        nn.ReLU(),
        nn.Conv2d(units, units, KERNEL, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(units, 10),
    )
    x = torch.randn(layer.pictures, 3, layer.size, layer.size)
    return model.eval(), x, torch.randint(10, (layer.pictures,))
