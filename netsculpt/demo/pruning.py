"""Prune a place by greedy local imitation: keep the units from which the consumer can rebuild what it used to see.

Letters: N units, M = N·places consumer inputs (places: kernel elements, or pixels behind a flatten), R its outputs.
Errors are means over positions of ‖old − new pre-activation of the consumer‖², constants apart: those go into its
bias, or into the running mean of the batch norm behind it.
"""

import copy
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netsculpt import ops
from netsculpt.demo import surgery
from netsculpt.demo.data import Part
from netsculpt.demo.network import Mixing, Place, places

Mode: TypeAlias = Literal["uniform", "line_search", "least_squares"]  # how the kept contributions are weighted

RIDGE = 1e-6  # of the mean variance of the consumer's inputs
MODES: tuple[Mode, ...] = ("uniform", "line_search", "least_squares")


@dataclass(frozen=True)
class Imitation:
    """What one calibration pass keeps of a place, all float64."""

    mean: Tensor  # [M] of the consumer's inputs
    cov: Tensor  # [M, M]
    weight: Tensor  # [R, M] of the consumer
    gram: Tensor  # [N, N] of the units' contributions to the consumer's pre-activation

    @property
    def places(self) -> int:
        """Consumer inputs per unit."""
        return len(self.cov) // len(self.gram)

    @property
    def energy(self) -> float:
        """Variance of the consumer's pre-activation, summed over its outputs: the error of keeping nothing."""
        return self.gram.sum().item()

    def inputs_of(self, units: Tensor) -> Tensor:
        """[k] units -> [k·places] columns of ``weight``."""
        return (units[:, None] * self.places + torch.arange(self.places)).flatten()

    def error(self, weight: Tensor) -> float:
        """Error of a consumer with ``weight`` [R, M] in place of its own."""
        change = self.weight - weight
        return ((change @ self.cov) * change).sum().item()


def patches(layer: Mixing, x: Tensor) -> Tensor:
    """What each row of the layer's weights is multiplied with: [n, D], a last 1 where there is a bias."""
    if isinstance(layer, nn.Conv2d):
        assert not isinstance(layer.padding, str)  # "same" and "valid" do not occur here
        columns = F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # [B, D, pixels]
        x = columns.transpose(1, 2).reshape(-1, columns.shape[1])
    return x if layer.bias is None else F.pad(x, (0, 1), value=1.0)


@torch.no_grad()
def imitation(net: nn.Sequential, index: int, part: Part) -> Imitation:
    """Measure place ``index`` of ``net`` on ``part``, in eval mode, on a float64 copy."""
    exact = copy.deepcopy(net).double().eval()
    consumer = places(exact)[index].consumer
    x = part.images.double()
    for layer in exact:
        if layer is consumer:
            break
        x = layer(x)
    weight = consumer.weight.flatten(1).detach()
    seen = patches(consumer, x)[:, : weight.shape[1]]
    mean = seen.mean(0)
    cov = ops.weighted_gram(seen - mean, seen.new_full((len(seen), 1), 1 / len(seen)))[0]
    units = places(exact)[index].units
    gram = ops.coupled_gram(cov, weight.T @ weight, weight.shape[1] // units)
    return Imitation(mean, cov, weight, gram)


def greedy(seen: Imitation, keep: int, mode: Mode) -> tuple[Tensor, Tensor, Tensor]:
    """Units in the order chosen [k], the factor on every unit's contribution [N], the error after each step [k].

    A unit is chosen once. k < ``keep`` where nothing independent is left.
    """
    chosen = ops.greedy_select(seen.gram, keep, mode=mode, repeats=False)
    steps = int((chosen.order >= 0).sum())
    return chosen.order[:steps], chosen.weights, chosen.errors[:steps]


def refit(seen: Imitation, units: Tensor, factors: Tensor) -> Tensor:
    """The consumer's weights [R, k·places] on the kept ``units`` that imitate it best, by ridge least squares.

    The ridge pulls towards the weights scaled by ``factors`` [k] rather than towards zero, so that however large it
    is, the error never exceeds theirs.
    """
    columns = seen.inputs_of(units)
    start = seen.weight[:, columns] * factors.repeat_interleave(seen.places)
    kept = seen.cov[columns][:, columns]
    ridge = RIDGE * seen.cov.diagonal().mean() * torch.eye(len(columns), dtype=kept.dtype)
    residual = seen.weight @ seen.cov[:, columns] - start @ kept
    return start + torch.linalg.solve(kept + ridge, residual.T).T


def embed(seen: Imitation, units: Tensor, weight: Tensor) -> Tensor:
    """[R, k·places] on the kept ``units`` -> [R, M], zero on the others."""
    full = torch.zeros_like(seen.weight)
    full[:, seen.inputs_of(units)] = weight
    return full


@torch.no_grad()
def prune(net: nn.Sequential, index: int, seen: Imitation, units: Tensor, weight: Tensor) -> None:
    """Keep only ``units`` of place ``index``, in place, and give the consumer ``weight`` [R, k·places] on them.

    The constant that the removed inputs used to add goes into the consumer's bias, or out of the running mean of the
    batch norm behind it, where training would find it anyway.
    """
    place = places(net)[index]
    surgery.keep(net, place, units)
    place.consumer.weight.copy_(weight.view_as(place.consumer.weight))
    lost = seen.weight @ seen.mean - weight @ seen.mean[seen.inputs_of(units)]
    if place.consumer_norm is not None:
        assert place.consumer_norm.running_mean is not None
        place.consumer_norm.running_mean -= lost.to(place.consumer.weight.dtype)
    else:
        assert place.consumer.bias is not None  # every layer here has a batch norm or a bias
        place.consumer.bias += lost.to(place.consumer.weight.dtype)


def by_magnitude(place: Place) -> Tensor:
    """Units, largest first, by the norm of their incoming weights times their batch norm's gain."""
    size = place.producer.weight.detach().flatten(1).norm(dim=1) * place.gain.abs()
    return size.argsort(descending=True, stable=True)
