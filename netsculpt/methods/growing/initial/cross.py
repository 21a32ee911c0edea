"""What the calibration data say about new units of an axis, kept as long as the statistics."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from weakref import WeakKeyDictionary

from torch import Tensor

from netsculpt.graph.positions import entries_by_unit
from netsculpt.measure import Statistics
from netsculpt.measure.playback import state_of
from netsculpt.methods.growing.initial.places import Place, Use
from netsculpt.methods.growing.initial.playing import Played, played
from netsculpt.methods.growing.initial.projection import updates
from netsculpt.methods.growing.initial.sums import Cross, Sums

ROOM = 512 << 20  # bytes of the activations and gradients of the batches that are kept for a second look

_KNOWN: WeakKeyDictionary[Statistics, dict[tuple[object, ...], Cross]] = WeakKeyDictionary()


def cross(
    stats: Statistics, place: Place, uses: Sequence[Use], *, second: bool = False, projected: bool = False
) -> Cross:
    """What the calibration data say about new units of an axis; kept as long as ``stats``.

    Args:
        stats: of the model as it is. One pass forward and back over its batches, two with ``projected``.
        place: of the units.
        uses: all of them.
        second: whether S is wanted.
        projected: whether the gradient without the best update of the consumers is wanted.

    Raises:
        MeasureError: the model has changed since it was measured, or a sum is not finite.
    """
    stats.require_current()
    known = _KNOWN.setdefault(stats, {})
    factors = tuple((use.operation.node, way.producer.node, way.factor) for use in uses for way in use.ways)
    key = (place.unit.axis, factors, second, projected)
    if key not in known:
        known[key] = _computed(stats, place, uses, second, projected)
    return known[key]


def _computed(stats: Statistics, place: Place, uses: Sequence[Use], second: bool, projected: bool) -> Cross:
    state = state_of(stats.graph.program.exported)
    values = {each for use in uses for each in (use.operation.source, *(way.producer.source for way in use.ways))}
    batches = _Batches(stats, values, {use.operation.node for use in uses}, twice=projected)
    best = updates(batches, place.reads, state) if projected else None
    widths = [outgoing(place, read.weight, state[read.weight]).shape[1] for read in place.reads]
    sums = Sums(place, uses, widths, best, second, state[place.reads[0].weight].device)
    for batch in batches:
        sums.add(batch)
    return sums.found(stats.examples)


class _Batches:
    """Batches to go through, once or twice; the first ones are kept for the second time, as far as there is room."""

    def __init__(self, stats: Statistics, values: Collection[str], gradients: Collection[str], twice: bool) -> None:
        self._stats, self._values, self._gradients = stats, values, gradients
        self._room = ROOM if twice else 0
        self._kept: list[Played] = []

    def __iter__(self) -> Iterator[Played]:
        kept, self._kept, room = self._kept, [], self._room
        self._room = 0
        yield from kept
        for batch in played(self._stats, self._values, self._gradients, len(kept)):
            room -= batch.bytes
            if room >= 0:
                self._kept.append(batch)
            yield batch


def outgoing(place: Place, name: str, weight: Tensor) -> Tensor:
    """The outgoing weights of the units that are there, in one consumer: float64 [m, entries], as edits take them."""
    (read,) = (each for each in place.reads if each.weight == name)
    inputs = weight.detach().double().movedim(1 - read.dim, 0)
    return inputs[entries_by_unit(read.unit).to(weight.device)].flatten(1)
