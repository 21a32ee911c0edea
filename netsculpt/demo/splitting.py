"""Measure how much splitting each unit would gain, choose the best, and split them.

Letters: n positions (samples, times pixels for a convolution), m units, D incoming weights of a unit.
"""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netsculpt import ops
from netsculpt.demo import surgery
from netsculpt.demo.data import Part
from netsculpt.demo.network import Mixing, places
from netsculpt.edit import undo
from netsculpt.graph import Graph


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


def second_derivative(activation: nn.Module, z: Tensor) -> Tensor:
    """σ''(z) of an elementwise function, by differentiating it twice: no table of formulas to keep right."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        (slope,) = torch.autograd.grad(activation(z).sum(), z, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), z)
    return bend


def patches(layer: Mixing, x: Tensor) -> Tensor:
    """What each row of the layer's weights is multiplied with: [n, D], a last 1 where there is a bias."""
    if isinstance(layer, nn.Conv2d):
        assert not isinstance(layer.padding, str)  # "same" and "valid" do not occur here
        columns = F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # [B, D, pixels]
        x = columns.transpose(1, 2).reshape(-1, columns.shape[1])
    return x if layer.bias is None else F.pad(x, (0, 1), value=1.0)


def by_position(z: Tensor) -> Tensor:
    """[B, m, height, width] or [B, m] -> [n, m], in the order of ``patches``."""
    return z if z.dim() == 2 else z.permute(0, 2, 3, 1).reshape(-1, z.shape[1])


def splitting_matrices(net: nn.Sequential, part: Part) -> list[Tensor]:
    """S_k = Σ_p g·σ''(z)·s²·x xᵀ of every unit of every place, in eval mode: a list of [m, D, D].

    g is the gradient of the mean loss at the unit's output, z what its activation is applied to, s the factor
    γ/√(var+ε) of a frozen batch norm, x the input patch.
    """
    net.eval()
    inputs, bends, outputs = _taps(net, part.images.to(next(net.parameters()).dtype))
    loss = F.cross_entropy(outputs.pop(), part.labels)
    gradients = torch.autograd.grad(loss, outputs)
    matrices = []
    for place, x, bend, gradient in zip(places(net), inputs, bends, gradients, strict=True):
        q = by_position(gradient * bend) * place.gain**2
        matrices.append(ops.weighted_gram(patches(place.producer, x), q))
    return matrices


def _taps(net: nn.Sequential, x: Tensor) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Per place its producer's input, σ'' and the activation's output; last among the outputs the network's."""
    producers = {place.producer for place in places(net)}
    activations = {place.activation for place in places(net)}
    inputs, bends, outputs = [], [], []
    for layer in net:
        if layer in producers:
            inputs.append(x.detach())
        if layer in activations:
            bends.append(second_derivative(layer, x))
        x = layer(x)
        if layer in activations:
            outputs.append(x)
    return inputs, bends, [*outputs, x]


def spectra(net: nn.Sequential, part: Part) -> list[Spectrum]:
    """The lowest eigenpairs of the splitting matrices, measured on a float64 copy of ``net``."""
    exact = copy.deepcopy(net).double()
    found = []
    for place, matrices in zip(places(exact), splitting_matrices(exact, part), strict=True):
        pairs = ops.eigh_extreme(matrices, which="lowest")
        found.append(Spectrum(place.name, pairs.values[:, 0], pairs.vectors[:, 0]))
    return found


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
