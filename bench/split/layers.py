"""Layers whose units are measured: each between nothing and SiLU, with a linear head behind it."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netsculpt import Sculptor
from netsculpt.measure import Statistics


class Layer(NamedTuple):
    """`size`: of the picture, 0 for a linear layer; `large`: whether the aims for large layers hold it."""

    title: str
    inputs: int
    units: int
    size: int
    batch: int
    large: bool
    groups: int = 1


LAYERS = {
    "conv3-32": Layer("conv 3 → 32, 32 × 32", 3, 32, 32, 8, False),
    "conv32-32": Layer("conv 32 → 32, 32 × 32", 32, 32, 32, 8, False),
    "conv64-128": Layer("conv 64 → 128, 32 × 32", 64, 128, 32, 8, True),
    "conv512-512": Layer("conv 512 → 512, 4 × 4", 512, 512, 4, 32, True),
    "linear1024": Layer("linear 1024 → 1024", 1024, 1024, 0, 256, True),
    "depthwise256": Layer("depthwise 256, 16 × 16, behind 256 → 256 by 1 × 1", 256, 256, 16, 8, True, 256),
}


def network(layer: Layer) -> tuple[nn.Module, Tensor, Tensor]:
    """The same at every call, with inputs and targets."""
    torch.manual_seed(0)
    if not layer.size:
        model = nn.Sequential(nn.Linear(layer.inputs, layer.units, bias=False), nn.SiLU(), nn.Linear(layer.units, 10))
        x = torch.randn(layer.batch, layer.inputs)
    else:
        x = torch.randn(layer.batch, layer.inputs, layer.size, layer.size)
        made: list[nn.Module] = [nn.Conv2d(layer.inputs, layer.units, 3, padding=1, bias=False)]
        if layer.groups > 1:
            depthwise = nn.Conv2d(layer.units, layer.units, 3, padding=1, groups=layer.groups, bias=False)
            made = [nn.Conv2d(layer.inputs, layer.units, 1, bias=False), depthwise]
        model = nn.Sequential(*made, nn.SiLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * layer.units, 10))
    return model.eval(), x, torch.randint(10, (layer.batch,))


def measured(layer: Layer) -> Statistics:
    model, x, target = network(layer)
    return Sculptor(model, x[:2]).measure([(x, target)], F.cross_entropy)


def body(layer: Layer) -> tuple[Tensor, Tensor, Tensor]:
    """Patches [n, d], pre-activations and gradients [n, m] of an ordinary layer, as each route starts from them.

    Raises:
        NotImplementedError: the unit goes through a depthwise convolution, which none of the published routes handles.
    """
    if layer.groups > 1:
        raise NotImplementedError("the unit is the row of the 1 × 1 layer through the depthwise one: no patches")
    model, x, target = network(layer)
    producer, rest = model[0], model[2:]
    with torch.no_grad():
        z = producer(x)
        patches = F.unfold(x, 3, padding=1).transpose(1, 2).reshape(-1, 9 * layer.inputs) if layer.size else x
    h = F.silu(z).requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(rest(h), target), h)
    return patches, z.movedim(1, -1).reshape(-1, layer.units), g.movedim(1, -1).reshape(-1, layer.units)


def bend(z: Tensor, g: Tensor) -> Tensor:
    s = torch.sigmoid(z)
    return g * (2 * s * (1 - s) + z * s * (1 - s) * (1 - 2 * s))
