"""GradMax: new units that change nothing, and get the largest gradient that their outgoing weights can give them.

Evci, van Merriënboer, Unterthiner, Vladymyrov, Pedregosa, "GradMax: Growing Neural Networks using Gradient
Information", ICLR 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.measure import Statistics
from netsculpt.methods.growing.initial.cross import cross
from netsculpt.methods.growing.initial.new_units import NewUnits, checked, drawn, filled, norms, slices
from netsculpt.methods.growing.initial.places import Place, Use, place


def gradmax(stats: Statistics, axis: str, k: int, *, scale: float = 0.5, bias: float = 0.0, seed: int = 0) -> NewUnits:
    """New units with incoming weights 0, whose gradient is the largest for outgoing weights of their size.

    The gradient of the incoming weights of a unit with outgoing weights ω is N ω, N as in ``cross``: orthogonal ω of
    the same norm do best as the first right singular vectors of N. Directions are those of all incoming weights, biases
    included.

    Args:
        stats: of the model as it is; its data are gone through once per axis, and what was found is kept.
        axis: name of the axis.
        k: number of units.
        scale: norm of the outgoing weights, as a multiple of the mean of those that are there.
        bias: offset of the new units. 0 leaves the function as it is, but torch gives a ReLU no slope at 0, so that
            nothing would reach them: with a small positive one, such as 1e-3, the network answers differently by that
            times the outgoing weights, and they learn.
        seed: of units beyond the rank of N, whose incoming weights are drawn and whose outgoing ones are 0.

    Returns:
        Slices; as gains the singular values: the norm of the gradient of a unit's incoming weights per norm of its
        outgoing ones. The decrease is 0: nothing changes at first.

    Raises:
        ArgumentError: an argument makes no sense, or the units have no bias that could be set.
        GraphError: there is no such axis.
        MeasureError: the units do not answer 0 to 0, or get no gradient there, or are made, pooled or used in a way
            that is not known; the model has changed since it was measured.
    """
    axis = checked(stats, axis, k)
    if not math.isfinite(scale) or scale <= 0:
        raise ArgumentError(f"scale must be a factor above 0, not {scale!r}")
    where = place(stats, axis)
    uses = _uses(where, bias)
    _, values, vectors = torch.linalg.svd(cross(stats, where, uses).cross, full_matrices=False)
    count = min(k, int((values > where.noise * values[:1]).sum()))
    out = filled(vectors[:count] * (scale * norms(stats, where).mean()), k)
    incoming = torch.cat([out.new_zeros(count, where.width), drawn(stats, where, k - count, seed)])
    gains = filled(values[:count], k)
    return NewUnits(slices(stats, where, incoming, out, bias), gains, torch.zeros_like(gains))


def _uses(where: Place, bias: float) -> tuple[Use, ...]:
    axis = where.unit.axis
    if bias and not any(where.body.lifts):
        raise ArgumentError(f"bias must be 0 for {axis!r}, whose units have none, not {bias!r}")
    _require_zero(where)
    uses = where.uses(where.body.responses(bias=bias))
    if not any(way.factor for use in uses for way in use.ways):
        advice = " (a ReLU has none at 0 in torch; give a small positive bias)" if not bias else ""
        raise MeasureError(f"new units of {axis!r} without incoming weights get no gradient: the slope is 0{advice}")
    return uses


def _require_zero(where: Place) -> None:
    require_zero(where.unit.axis, (response.value for response in where.body.responses().values()))


def require_zero(axis: str, values: Iterable[float]) -> None:
    """Refuse units that answer something to nothing."""
    for value in values:
        if value:
            raise MeasureError(f"new units of {axis!r} without incoming weights answer {value:g} instead of 0")
