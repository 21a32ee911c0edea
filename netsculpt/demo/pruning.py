"""Prune a place to the units from which its consumer can rebuild what it used to see.

Thin words over the library's measuring, fitting and edits: the demo also compares ways of choosing units at every
width, for which the library's own plans have no need. Errors are what is left unexplained of the variance of the
consumer's pre-activation; constants apart: those go into its bias, or into the running mean of the norm behind it.
"""

import copy
from typing import Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netsculpt import ops
from netsculpt.demo import surgery
from netsculpt.demo.data import Part
from netsculpt.demo.network import Place, places
from netsculpt.edit import Plan, apply
from netsculpt.measure import Statistics, measure
from netsculpt.methods.pruning.curves import Choice, combined
from netsculpt.methods.pruning.plan import planned
from netsculpt.methods.pruning.refits import Fitted, Refit, fit

Mode: TypeAlias = Literal["uniform", "line_search", "least_squares"]  # how the kept contributions are weighted

MODES: tuple[Mode, ...] = ("uniform", "line_search", "least_squares")


class Seen(NamedTuple):
    """What a calibration pass over a float64 copy of the network says about one place."""

    stats: Statistics
    axis: str
    gram: Tensor  # [N, N] of the units' contributions to the consumer's pre-activation, relative to their variance

    def error(self, units: Tensor, factors: Tensor, refit: Refit) -> float:
        """What is left unexplained with ``units`` [k], weighted by ``factors`` [k] or refitted."""
        (read,) = self.stats.consumers[self.axis].reads
        return self.fitted(units, factors, refit).errors[read.weight]

    def fitted(self, units: Tensor, factors: Tensor, refit: Refit) -> Fitted:
        """The consumer that does with ``units``."""
        return fit(self.stats, {self.axis: Choice(units, factors, 0.0, len(units))}, refit=refit)


def see(net: nn.Sequential, index: int, part: Part) -> Seen:
    """Measure place ``index`` of ``net`` on ``part``, in eval mode."""
    exact = copy.deepcopy(net).double()
    axis = places(exact)[index].axis
    data = [(part.images.double(), part.labels)]
    stats = measure(exact, surgery.graph_of(exact), data, F.cross_entropy, for_="prune", axes=[axis])
    return Seen(stats, axis, combined(stats.consumers[axis], stats.grams()[axis]))


def greedy(seen: Seen, keep: int, mode: Mode) -> tuple[Tensor, Tensor, Tensor]:
    """Units in the order chosen [k], the factor on every unit's contribution [N], the error after each step [k].

    A unit is chosen once. k < ``keep`` where nothing independent is left.
    """
    chosen = ops.greedy_select(seen.gram, keep, mode=mode, repeats=False)
    steps = int((chosen.order >= 0).sum())
    return chosen.order[:steps], chosen.weights, chosen.errors[:steps]


def prune(net: nn.Sequential, seen: Seen, units: Tensor, factors: Tensor) -> None:
    """Keep only ``units`` [k], ascending, in place, and let the consumer make up for the others."""
    choice = Choice(units, factors, 0.0, len(units))
    plan = planned(seen.stats, {seen.axis: choice}, seen.fitted(units, factors, "least_squares"), "least_squares")
    apply(Plan(plan.edits), net, graph=surgery.graph_of(net), check=False)


def by_magnitude(place: Place) -> Tensor:
    """Units, largest first, by the norm of their incoming weights times their batch norm's gain."""
    size = place.producer.weight.detach().flatten(1).norm(dim=1) * place.gain.abs()
    return size.argsort(descending=True, stable=True)


def error_curves(seen: Seen, magnitude: Tensor) -> dict[str, list[float]]:
    """Unexplained variance of the consumer's pre-activation after each kept unit, for every way of choosing."""
    units = len(seen.gram)
    chosen = {mode: greedy(seen, units, mode) for mode in MODES}
    curves: dict[str, list[float]] = {mode: errors.tolist() for mode, (_, _, errors) in chosen.items()}
    curves["least squares + refit"] = _along(seen, chosen["least_squares"][0], "least_squares")
    curves["magnitude"] = _along(seen, magnitude, "scale")
    curves["magnitude + refit"] = _along(seen, magnitude, "least_squares")
    return curves


def _along(seen: Seen, order: Tensor, refit: Refit) -> list[float]:
    firsts = (order[:kept].sort().values for kept in range(1, len(order) + 1))
    return [seen.error(units, torch.ones(len(units), dtype=torch.float64), refit) for units in firsts]
