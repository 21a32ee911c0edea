"""How much more a natural gradient could gain if a network were wider: a reason to grow, or not to."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.measure import Statistics
from netsculpt.measure.consumers import Read
from netsculpt.measure.playback import state_of
from netsculpt.measure.ranks import summed
from netsculpt.methods.growing.initial.cross import cross
from netsculpt.methods.growing.initial.places import Place, place
from netsculpt.methods.growing.initial.playing import Played, played, working
from netsculpt.methods.growing.initial.projection import LARGEST, Fit, pseudo_root
from netsculpt.methods.growing.initial.tiny import uses_at_zero


class NaturalGain(NamedTuple):
    """gᵀF⁻¹g, twice what the best step would lower the loss by if its Hessian were the Fisher matrix F.

    Attributes:
        now: of the weights that use the units of an axis.
        new: by how much it grows with the best new units.
    """

    now: float
    new: float

    @property
    def relative(self) -> float:
        """The new as a share of what is there."""
        return self.new / self.now if self.now > 0 else math.inf if self.new > 0 else 0.0


def natural_gains(
    stats: Statistics, axes: Iterable[str] | None = None, *, units: float = 0.5, damping: float = 1e-3
) -> dict[str, NaturalGain]:
    """What new units would add to the gain of a natural gradient step, axis by axis.

    F is Kronecker-factored: for every weight that uses the axis A ⊗ B, the second moments of its inputs and of the
    gradients of single examples at its results. New units are the best ones in the linearisation at incoming weights
    of 0 (those of ``tiny``, with the gradients measured in B): they answer outside the span of what is there already,
    so what they add is added to what there is.

    Args:
        stats: of the model as it is.
        axes: names of axes; by default all for which it can be computed.
        units: how many new units are thought of, as a share of the axis's size, at least one.
        damping: is added to the eigenvalues of B, as a share of their mean.

    Returns:
        Axis name -> its gain.

    Raises:
        ArgumentError: an argument makes no sense.
        GraphError: there is no such axis.
        MeasureError: it can be computed for none of the axes; the model has changed since it was measured.

    Source: after R. Mitchell, M. Mundt, K. Kersting, "Self-Expanding Neural Networks" (2023), where new units are
    drawn and optimised instead.
    """
    if not units > 0 or not damping >= 0:
        raise ArgumentError(f"units must be above 0 and damping 0 or above, not {units!r} and {damping!r}")
    names = stats.graph.names(axes)
    places: dict[str, Place] = {}
    reasons: dict[str, str] = {}
    for name in names:
        try:
            places[name] = place(stats, name)
            _known(stats, places[name])
        except MeasureError as error:
            reasons[name] = str(error)
    able = {name: each for name, each in places.items() if name not in reasons}
    if not able:
        name, why = next(iter(reasons.items()), ("the model", "it has no axis"))
        raise MeasureError(f"the gain of new units is known for no axis; {name}: {why}")
    curvatures = _curvatures(stats, {read.weight: read for each in able.values() for read in each.reads}, damping)
    found = {}
    for name, each in able.items():
        now = sum(curvatures[read.weight].gain for read in each.reads)
        found[name] = NaturalGain(now, _new(stats, each, curvatures, max(1, round(units * stats.graph[name].size))))
    return found


def _known(stats: Statistics, place: Place) -> None:
    """Nothing, where the gain is known.

    Raises:
        MeasureError: units are used in a way that is not, or moments would be too large.
    """
    uses_at_zero(place)
    state = state_of(stats.graph.program.exported)
    for read in place.reads:
        outputs = state[read.weight].shape[read.dim]
        if max(outputs, state[read.weight].numel() // outputs) > LARGEST:
            raise MeasureError(f"{read.weight} is too large: moments of more than {LARGEST} numbers are not computed")


class _Curvature(NamedTuple):
    """Of one weight: its part of gᵀF⁻¹g, R with R Rᵀ = B⁻¹ [outputs, r], and the number of outputs."""

    gain: float
    root: Tensor
    outputs: int


def _curvatures(stats: Statistics, reads: dict[str, Read], damping: float) -> dict[str, _Curvature]:
    state = state_of(stats.graph.program.exported)
    sums = {weight: _Sums(read, state[weight]) for weight, read in reads.items()}
    operations = [each for read in reads.values() for each in read.operations]
    for batch in played(stats, {each.source for each in operations}, {each.node for each in operations}):
        for each in sums.values():
            each.add(batch)
    return {weight: each.curvature(stats.examples, damping) for weight, each in sums.items()}


class _Sums:
    """A and the gradient by way of a fit, and B."""

    def __init__(self, read: Read, weight: Tensor) -> None:
        outputs = weight.shape[read.dim]
        self._fit, self._read, self._dtype = Fit(read, weight), read, weight.dtype
        self._outer = weight.new_zeros(outputs, outputs, dtype=torch.float64)
        self._entries = weight.new_zeros(1, dtype=torch.float64)

    def add(self, batch: Played) -> None:
        """One batch."""
        self._fit.add(batch)
        for operation in self._read.operations:
            gradient = working(batch.gradients[operation.node]).movedim(operation.channel, 0).flatten(1)
            self._outer += gradient @ gradient.T
            self._entries += gradient.shape[1]

    def curvature(self, examples: int, damping: float) -> _Curvature:
        """Of all ranks. Gradients are of the mean loss; those of an example are that times the number of examples."""
        solved, gradient = self._fit.solved()
        outer, entries = summed(self._outer), float(summed(self._entries))
        root = pseudo_root(outer * (examples**2 / entries), self._dtype, ridge=damping)
        gain = float(((gradient @ root) * (examples * solved @ root)).sum())
        return _Curvature(gain, root, len(outer))


def _new(stats: Statistics, place: Place, curvatures: dict[str, _Curvature], count: int) -> float:
    """The sum of the best so many squared singular values of S^(-1/2) N B^(-1/2)."""
    sums = cross(stats, place, uses_at_zero(place), second=True, projected=True)
    assert sums.left is not None and sums.second is not None
    state = state_of(stats.graph.program.exported)
    columns, start = [], 0
    for read in place.reads:
        outputs = curvatures[read.weight].outputs
        width = read.columns.shape[1] * outputs
        part = sums.left[:, start : start + width].unflatten(1, (-1, outputs, math.prod(read.operations[0].kernel)))
        columns.append((part.movedim(2, -1) @ curvatures[read.weight].root).flatten(1))
        start += width
    root = pseudo_root(sums.second, state[place.reads[0].weight].dtype)
    whole = root.T @ torch.cat(columns, 1)
    return float(torch.linalg.svdvals(whole)[:count].square().sum())
