"""Measure how much splitting each unit would gain, choose the best, and split them.

Thin words over the library's measuring and edits: the demo also compares prediction and measurement unit by unit and at
several steps, for which the library's own plans have no need. Letters: m units, D incoming weights of a unit.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netsculpt.demo import surgery
from netsculpt.demo.data import Part
from netsculpt.demo.network import places
from netsculpt.edit import undo
from netsculpt.graph import Graph
from netsculpt.measure import measure
from netsculpt.methods import splitting as methods


@dataclass(frozen=True)
class Spectrum:
    """The lowest eigenpair of every splitting matrix of a place."""

    name: str
    values: Tensor  # [m], loss per squared weight
    vectors: Tensor  # [m, D], unit rows


@dataclass(frozen=True)
class Split:
    """One unit to split, and what ``offset`` is predicted to do to the loss."""

    place: int
    name: str
    unit: int
    value: float
    offset: Tensor  # [D]
    gain: float


def spectra(net: nn.Sequential, part: Part) -> list[Spectrum]:
    """The lowest eigenpairs of the splitting matrices, measured on a float64 copy of ``net``."""
    exact = copy.deepcopy(net).double()
    stats = measure(exact, surgery.graph_of(exact), [(part.images.double(), part.labels)], F.cross_entropy)
    found = methods.spectra(stats, ends="lowest")
    ends = [(place.name, found[place.axis]) for place in places(exact)]
    return [Spectrum(name, each.values[:, 0], each.vectors[:, 0]) for name, each in ends]


def choose(measured: list[Spectrum], count: int, step: float) -> list[Split]:
    """The ``count`` units, over all places, whose split lowers the loss most: two copies at θ ± step·v, half each.

    Predicted is ``step²/2·λ``. Units with λ ≥ 0 are never split: no small split of theirs helps.
    """
    candidates = [
        Split(p, s.name, unit, value, step * s.vectors[unit], step**2 / 2 * value)
        for p, s in enumerate(measured)
        for unit, value in enumerate(s.values.tolist())
        if value < 0
    ]
    return sorted(candidates, key=lambda split: split.gain)[:count]


def apply(net: nn.Sequential, plan: list[Split], scale: float = 1.0, graph: Graph | None = None) -> None:
    """Split in place; ``graph``, where it is given, is the network's and follows."""
    where = places(net)
    surgery.split(net, [(where[split.place], split.unit, scale * split.offset) for split in plan], graph)


def measured_change(
    net: nn.Sequential, plan: list[Split], part: Part, scale: float = 1.0, graph: Graph | None = None
) -> float:
    """What splitting does to the loss on ``part``: a float64 copy in eval mode before and after.

    ``graph``, where it is given, is that of ``net``, and is so again afterwards.
    """
    trial = copy.deepcopy(net).double().eval()
    before = _loss(trial, part)
    apply(trial, plan, scale, graph)
    change = _loss(trial, part) - before
    if plan:
        undo(trial)
    return change


def _loss(net: nn.Sequential, part: Part) -> float:
    with torch.no_grad():
        return F.cross_entropy(net(part.images.double()), part.labels).item()
