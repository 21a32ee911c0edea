"""What the calibration data say about new units of an axis, kept as long as the statistics."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from netsculpt.graph.positions import entries_by_unit
from netsculpt.measure import Statistics
from netsculpt.measure.playback import state_of
from netsculpt.methods.growing.initial.places import Place, Use
from netsculpt.methods.growing.initial.playing import Played, played
from netsculpt.methods.growing.initial.projection import updates
from netsculpt.methods.growing.initial.sums import Cross, UseSums

ROOM = 512 << 20  # bytes of the activations and gradients of the batches that are kept for a second look

Key = tuple[str, tuple[tuple[float, ...], ...]]  # axis, and factors that cannot be told apart afterwards
_KNOWN: WeakKeyDictionary[Statistics, dict[Key, list[Cross]]] = WeakKeyDictionary()


def cross(
    stats: Statistics, place: Place, uses: Sequence[Use], *, second: bool = False, projected: bool = False
) -> Cross:
    """What the calibration data say about new units of an axis.

    It is kept as long as ``stats``, whatever slopes the ways have, so that the initialisers can share it.

    Args:
        stats: of the model as it is. One pass forward and back over its batches; with ``projected`` two, if there is
            no room for what the first one found.
        place: of the units.
        uses: all of them.
        second: whether S is wanted.
        projected: whether the gradient without the best update of the consumers is wanted.

    Raises:
        MeasureError: the model has changed since it was measured, or a sum is not finite.
    """
    stats.require_current()
    plain = [_plain(use) for use in uses]
    key = (place.unit.axis, tuple(tuple(way.factor for way in use.ways) for use in plain))
    known = _KNOWN.setdefault(stats, {})
    found = known.get(key, [])
    if not found or (second and found[0].second is None) or (projected and found[0].left is None):
        known[key] = found = _computed(stats, place, plain, second, projected)
    return _together(place, uses, plain, found)


def _plain(use: Use) -> Use:
    """With slopes 1, unless one weight makes units in several ways for it."""
    rows = [way.rows.start for way in use.ways]
    return use if len(set(rows)) < len(rows) else use._replace(ways=tuple(way._replace(factor=1.0) for way in use.ways))


def _computed(stats: Statistics, place: Place, uses: Sequence[Use], second: bool, projected: bool) -> list[Cross]:
    state = state_of(stats.graph.program.exported)
    values = {each for use in uses for each in (use.operation.source, *(way.producer.source for way in use.ways))}
    batches = _Batches(stats, values, {use.operation.node for use in uses}, twice=projected)
    best = updates(batches, place.reads, state) if projected else {}
    widths = [outgoing(place, read.weight, state[read.weight]).shape[1] for read in place.reads]
    device = state[place.reads[0].weight].device
    sums = [UseSums(use, (place.width, widths[use.number]), best.get(use.read.weight), second, device) for use in uses]
    for batch in batches:
        for each in sums:
            each.add(batch)
    return [each.found(stats.examples) for each in sums]


def _together(place: Place, uses: Sequence[Use], plain: Sequence[Use], found: Sequence[Cross]) -> Cross:
    """All uses beside each other, by the slopes."""
    crosses: dict[int, list[Tensor]] = {}
    lefts: dict[int, list[Tensor]] = {}
    seconds: list[Tensor] = []
    for use, own, each in zip(uses, plain, found, strict=True):
        factors = each.cross.new_ones(place.width, 1)
        for way, one in zip(use.ways, own.ways, strict=True):
            factors[way.rows] = 1.0 if way.factor == one.factor else way.factor
        same = bool((factors == 1).all())
        crosses.setdefault(use.number, []).append(each.cross if same else factors * each.cross)
        if each.left is not None:
            lefts.setdefault(use.number, []).append(each.left if same else factors * each.left)
        if each.second is not None:
            seconds.append(each.second if same else factors * each.second * factors.T)
    joined = [_beside([_sum(sums[number]) for number in sorted(sums)]) for sums in (crosses, lefts) if sums]
    return Cross(joined[0], joined[1] if lefts else None, _sum(seconds) if seconds else None)


def _sum(sums: Sequence[Tensor]) -> Tensor:
    return sums[0] if len(sums) == 1 else torch.stack(list(sums)).sum(0)


def _beside(sums: Sequence[Tensor]) -> Tensor:
    return sums[0] if len(sums) == 1 else torch.cat(list(sums), 1)


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
