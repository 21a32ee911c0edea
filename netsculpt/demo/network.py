"""The demo's network, a plain ``nn.Sequential``, and the places in it where units can be added or removed."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn

from netsculpt.demo.records import Settings

Mixing: TypeAlias = nn.Conv2d | nn.Linear  # a layer whose outputs mix its inputs: it produces units and consumes them
Widths: TypeAlias = tuple[int, int, int, int]  # units of the three convolutions and of the hidden linear layer

CLASSES = 10
IMAGE = (1, 8, 8)


@dataclass(frozen=True)
class Place:
    """A layer whose units may be split or removed, with everything that has to change along.

    ``name`` is for readers, ``axis`` the library's name of the units; ``consumer`` is the next mixing layer; ``norm``
    and ``consumer_norm`` are the batch norms right behind the two.
    """

    name: str
    axis: str
    producer: Mixing
    norm: nn.BatchNorm2d | None
    activation: nn.Module
    consumer: Mixing
    consumer_norm: nn.BatchNorm2d | None

    @property
    def units(self) -> int:
        """Outputs of the producer."""
        return self.producer.weight.shape[0]

    @property
    def columns(self) -> int:
        """Consumer inputs per unit: 1, or height·width where a flatten lies between."""
        return self.consumer.weight.shape[1] // self.units

    @property
    def gain(self) -> Tensor:
        """[units] γ/√(var+ε) of the frozen batch norm, by which it scales the units; ones where there is none."""
        if self.norm is None:
            return torch.ones(self.units, dtype=self.producer.weight.dtype)
        assert self.norm.running_var is not None
        return (self.norm.weight / (self.norm.running_var + self.norm.eps) ** 0.5).detach()


def build_network(widths: Widths, seed: int) -> nn.Sequential:
    """Three conv-BN-SiLU blocks (8×8, 4×4, 2×2 pixels), a hidden linear layer, and the classifier.

    SiLU because splitting needs an activation that bends: the second derivative of ReLU is zero almost everywhere.
    """
    layers: list[nn.Module] = []
    inputs = IMAGE[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for width, stride in zip(widths[:3], (1, 2, 2), strict=True):
            layers += [nn.Conv2d(inputs, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.SiLU()]
            inputs = width
        pixels = 2 * 2
        layers += [nn.Flatten(), nn.Linear(pixels * inputs, widths[3]), nn.SiLU(), nn.Linear(widths[3], CLASSES)]
    return nn.Sequential(*layers)


def narrow_seed() -> tuple[nn.Sequential, Tensor]:
    """The untrained network that the demo starts with, and two images of noise: for ``inspect`` and ``verify``."""
    images = torch.randn(2, *IMAGE, generator=torch.Generator().manual_seed(0))
    return build_network(Settings().seed_widths, seed=0), images


def places(net: nn.Sequential) -> list[Place]:
    """Every place of ``net``, input to output; the last mixing layer makes the outputs and is no place."""
    layers = list(net)
    mixing = [(i, layer) for i, layer in enumerate(layers) if isinstance(layer, nn.Conv2d | nn.Linear)]
    names = _names(layers)
    found = []
    for (here, producer), (there, consumer) in pairwise(mixing):
        norm = _norm_behind(layers, here)
        activation = layers[here + (2 if norm else 1)]
        found.append(Place(names[here], str(here), producer, norm, activation, consumer, _norm_behind(layers, there)))
    return found


def _norm_behind(layers: list[nn.Module], index: int) -> nn.BatchNorm2d | None:
    behind = layers[index + 1] if index + 1 < len(layers) else None
    return behind if isinstance(behind, nn.BatchNorm2d) else None


def _names(layers: list[nn.Module]) -> dict[int, str]:
    """Layer index -> conv1, conv2, …, linear1, …, as a reader counts them."""
    names: dict[int, str] = {}
    for kind, word in ((nn.Conv2d, "conv"), (nn.Linear, "linear")):
        indices = [i for i, layer in enumerate(layers) if isinstance(layer, kind)]
        names |= {index: f"{word}{count}" for count, index in enumerate(indices, 1)}
    return names


def widths_of(net: nn.Sequential) -> Widths:
    """Units of every place, input to output."""
    first, second, third, hidden = (place.units for place in places(net))
    return first, second, third, hidden
