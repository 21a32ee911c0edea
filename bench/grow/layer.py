"""The pairs of layers between which units are added. Needs torch alone, so that a peer's environment can use it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Layer(NamedTuple):
    """Two layers of as many inputs, units and outputs, with a tanh between; ``size`` 0 for linear ones.

    Attributes:
        units: of each layer.
        size: of the pictures; kernels have 3 × 3 places then, with a border of 1.
        examples: of the batch.
        new: units to add.
    """

    units: int
    size: int
    examples: int
    new: int

    @property
    def title(self) -> str:
        if not self.size:
            return f"linear {self.units}-{self.units}-{self.units}, {self.examples} examples"
        return (
            f"3×3 convolutions {self.units}-{self.units}-{self.units}, {self.size}×{self.size}, batch {self.examples}"
        )


LAYERS = {
    "convolutions": Layer(64, 16, 32, 8),
    "linear": Layer(1024, 0, 4096, 8),
    "small": Layer(6, 5, 20, 3),
    "narrow": Layer(7, 0, 40, 3),
}


def network(layer: Layer, dtype: torch.dtype) -> tuple[nn.Sequential, Tensor, Tensor]:
    """The same at every call, in eval mode, with inputs and what a wider network answers to them."""
    torch.manual_seed(0)
    model, teacher = _pair(layer, layer.units), _pair(layer, 2 * layer.units)
    shape = (layer.size, layer.size) if layer.size else ()
    # Inputs of unequal sizes, so that some directions count more than others.
    scales = torch.linspace(2, 0.2, layer.units).reshape(-1, *(1 for _ in shape))
    x = scales * torch.randn(layer.examples, layer.units, *shape)
    with torch.no_grad():
        target = 3 * teacher(x)
    return model.to(dtype).eval(), x.to(dtype), target.to(dtype)


def _pair(layer: Layer, units: int) -> nn.Sequential:
    if layer.size:
        first, last = nn.Conv2d(layer.units, units, 3, padding=1), nn.Conv2d(units, layer.units, 3, padding=1)
        return nn.Sequential(first, nn.Tanh(), last)
    return nn.Sequential(nn.Linear(layer.units, units), nn.Tanh(), nn.Linear(units, layer.units))


def loss(answer: Tensor, target: Tensor) -> Tensor:
    """Squared distances, the mean over examples."""
    return (answer - target).square().sum() / len(answer)
