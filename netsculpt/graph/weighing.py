"""Which slices weigh the units of an axis: zero, they silence a unit; shared, they let copies stand for it.

Wherever units are summed over, some operand must answer to a factor of a unit in just that proportion: usually the
weight that uses the units, in attention the one that makes the queries. Whether copies may share that factor, and
whether it may make up for a mean or a root of the number of units, is proved over all places where they are summed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

from netsculpt.graph.analysis import Analysis
from netsculpt.graph.facts import Contraction, Operand, RootFact
from netsculpt.graph.limits import Limit, Where
from netsculpt.graph.makings import UNKNOWN, Making, Monomial, Opaque, Piece, Root, Scaler
from netsculpt.graph.reach import Tensors
from netsculpt.graph.terms import Term, leaves


class Rescale(NamedTuple):
    """When the axis changes size, the slices at ``places`` are multiplied by (new/old)**power."""

    places: tuple[Where, ...]
    power: float

    def limits(self, tensor: str, dim: int) -> list[Limit]:
        """To which parts of a tensor's dimension the slices are limited; none where it holds no such slices."""
        return [limit for name, along, limit in self.places if (name, along) == (tensor, dim)]


class Weighing(NamedTuple):
    """What weighs the units of an axis.

    Attributes:
        silences: (tensor, dim) -> to what the slices that weigh a unit are limited, one after the other.
        rescales: what makes up for the number of units.
        inexact: why removing a unit is not silencing it; None where it is.
        uncopyable: why copies cannot share a unit's weight; None where they can.
    """

    silences: dict[tuple[str, int], tuple[Limit, ...]]
    rescales: tuple[Rescale, ...] = ()
    inexact: str | None = None
    uncopyable: str | None = None


def weigh(axes: Sequence[Term], analysis: Analysis) -> dict[Term, Weighing]:
    """The weighing of every axis."""
    sums: dict[Term, list[Contraction]] = {axis: [] for axis in axes}
    for contraction in analysis.facts.contractions:
        for axis in dict.fromkeys(leaves(contraction.term)):
            if axis in sums:
                sums[axis].append(contraction)
    tensors = Tensors(analysis.tensors)
    return {axis: _Scale(axis, sums[axis], tensors, analysis.facts.followed).weighing() for axis in axes}


class _Places:
    """Slices that are scaled together. ``made``: some of them make units, others only use them."""

    def __init__(self, places: Iterable[Where] = (), made: bool = False) -> None:
        self.made = made
        self.tensors: set[str] = set()
        self.limits: dict[tuple[str, int], dict[Limit, None]] = {}
        for tensor, dim, limit in places:
            self.tensors.add(tensor)
            self.limits.setdefault((tensor, dim), {}).setdefault(limit)

    def add(self, other: _Places) -> None:
        self.made = self.made or other.made
        self.tensors |= other.tensors
        for key, limits in other.limits.items():
            self.limits.setdefault(key, {}).update(limits)

    def covers(self, place: Where) -> bool | None:
        """Whether all of a place is among them, or nothing; None: a part of it."""
        limits = self.limits.get(place[:2], {})
        if any(limit <= place[2] for limit in limits):
            return True
        return False if all(_apart(limit, place[2]) for limit in limits) else None

    def __iter__(self) -> Iterator[Where]:
        return ((*key, limit) for key, limits in self.limits.items() for limit in limits)


def _apart(a: Limit, b: Limit) -> bool:
    theirs = dict(b)
    return any(theirs.get(axis, index) != index for axis, index in a)


class _Sum(NamedTuple):
    """A contraction as one axis sees it: all products of its operands' monomials, and the choices of what weighs."""

    contraction: Contraction
    monomials: list[Monomial]
    choices: list[_Places]


class _Scale:
    """One axis, and all sums over it."""

    def __init__(
        self, axis: Term, contractions: Sequence[Contraction], tensors: Tensors, followed: set[RootFact]
    ) -> None:
        self._axis = axis
        self._tensors = tensors
        self._followed = {fact for fact in followed if axis in tensors.axes(fact.term)}
        self._dims: dict[Scaler, list[int]] = {}
        self._found: dict[Scaler, Where | None] = {}
        self._sums = [self._sum(contraction) for contraction in contractions]

    def weighing(self) -> Weighing:
        without = next((each for each in self._sums if not each.choices), None)
        picks = [self._picked(first) for first in (0, -1)]
        chosen = next((pick for pick in picks if self._shared(pick)), None)
        places = chosen or picks[0]
        silences = {key: tuple(limits) for key, limits in places.limits.items()}
        uncopyable = None if chosen else "it is used in several ways, and copies of a unit cannot share one weight"
        if without is not None:
            why = f"a sum over it that no weight is in proportion to ({without.contraction.where})"
            return Weighing(silences, (), why, why)
        rescales, inexact = self._rescales()
        return Weighing(silences, rescales, inexact, uncopyable)

    def _sum(self, contraction: Contraction) -> _Sum:
        makings = [self._seen(operand) for operand in contraction.operands]
        monomials = [sum(parts, ()) for parts in product(*makings)]
        choices = [] if monomials else [_Places()]
        for operand, making in zip(contraction.operands, makings, strict=True):
            places = self._weight(making)
            if monomials and places is not None:
                choices.append(_Places(places, made=not operand.constant))
        return _Sum(contraction, monomials, choices)

    def _seen(self, operand: Operand) -> Making:
        """What an operand is made of along this axis."""
        if any(self._axis in self._tensors.axes(term) for term in operand.beside):
            return UNKNOWN
        return tuple(monomial for monomial in operand.made if self._counts(monomial))

    def _counts(self, monomial: Monomial) -> bool:
        pieces = [factor for factor in monomial if isinstance(factor, Piece)]
        return all(
            self._axis not in self._tensors.axes(piece.whole) or self._axis in self._tensors.axes(piece.part)
            for piece in pieces
        )

    def _weight(self, making: Making) -> list[Where] | None:
        """Slices to which every monomial is in proportion: the latest of each, unless one is among them already."""
        chosen: dict[Where, None] = {}
        for monomial in sorted(making, key=len):
            places = [place for factor in monomial if (place := self._place(factor)) is not None]
            if not places:
                return None
            if not any(place in chosen for place in places):
                chosen.setdefault(places[-1])
        return list(chosen)

    def _place(self, factor: object) -> Where | None:
        """The slices that a factor is in proportion to, if there is one such dimension."""
        if not isinstance(factor, Scaler):
            return None
        if factor not in self._found:
            self._found[factor] = self._place_of(factor)
        return self._found[factor]

    def _place_of(self, factor: Scaler) -> Where | None:
        dims = self._dims_of(factor)
        known = len(dims) == 1 and self._tensors.reach(factor, self._axis)
        limit = self._tensors.limit(factor, dims[0]) if known else None
        return (factor.tensor, dims[0], limit) if limit is not None else None

    def _dims_of(self, scaler: Scaler) -> list[int]:
        if scaler not in self._dims:
            self._dims[scaler] = self._tensors.dims(scaler, self._axis)
        return self._dims[scaler]

    def _picked(self, number: int) -> _Places:
        places = _Places()
        for each in self._sums:
            if each.choices:
                places.add(each.choices[number])
        return places

    def _shared(self, places: _Places) -> bool:
        """Whether every sum is in proportion to one factor of ``places``, once."""
        return all(self._power(monomial, places) == 1 for each in self._sums for monomial in each.monomials)

    def _power(self, monomial: Monomial, places: _Places) -> int | None:
        """How many times scaling ``places`` scales a monomial; None where that is not known."""
        power = 0
        for factor in monomial:
            if isinstance(factor, Scaler):
                covered = self._covered(factor, places)
                if covered is None:
                    return None
                power += covered
            elif isinstance(factor, Opaque) and self._hides(factor, places):
                return None
        return power

    def _covered(self, scaler: Scaler, places: _Places) -> bool | None:
        if scaler.tensor not in places.tensors:  # most of them: a unit is seldom used by many weights
            return False
        dims = self._dims_of(scaler)
        if not any((scaler.tensor, dim) in places.limits for dim in dims):
            return False
        place = self._place(scaler)
        return places.covers(place) if place is not None else None

    def _hides(self, opaque: Opaque, places: _Places) -> bool:
        """Whether scaling ``places`` may do anything to what is opaque."""
        if self._tensors.reach(opaque, self._axis) is False:
            return False
        if opaque.scalers is None:
            return places.made
        return any(self._covered(scaler, places) is not False for scaler in opaque.scalers)

    def _rescales(self) -> tuple[tuple[Rescale, ...], str | None]:
        """What makes up for means and roots, and why nothing does."""
        if not self._followed and not any(each.contraction.power for each in self._sums):
            return (), None
        for number in (0, -1):
            found: dict[Rescale, _Places] = {}
            for each in self._sums:
                for power in {self._asked(each.contraction, monomial) for monomial in each.monomials} - {0.0}:
                    places = each.choices[number]
                    found.setdefault(Rescale(tuple(places), power), places)
            if self._made_up(found):
                return tuple(found), None
        where = [each.contraction.where for each in self._sums if each.contraction.power]
        place = next(iter(where), f"by {next(iter(self._followed)).number:g}" if self._followed else "")
        return (), f"it is divided by its size or a root of it, which no weight can make up for ({place})"

    def _asked(self, contraction: Contraction, monomial: Monomial) -> float:
        """To which power of the axis's size a term of a sum is divided by it."""
        facts = [*contraction.roots, *(factor.fact for factor in monomial if isinstance(factor, Root))]
        return contraction.power + sum(fact.power for fact in facts if fact in self._followed)

    def _made_up(self, found: Mapping[Rescale, _Places]) -> bool:
        """Whether rescaling does just what every sum asks for."""
        seen: set[RootFact] = set()
        for each in self._sums:
            for monomial in each.monomials:
                seen.update(each.contraction.roots)
                seen.update(factor.fact for factor in monomial if isinstance(factor, Root))
                hidden = (factor for factor in monomial if isinstance(factor, Opaque) and factor.roots & self._followed)
                if any(self._tensors.reach(factor, self._axis) is not False for factor in hidden):
                    return False
                powers = [(rescale.power, self._power(monomial, places)) for rescale, places in found.items()]
                if any(times is None for _, times in powers):
                    return False
                done = sum(power * times for power, times in powers if times)
                if abs(done - self._asked(each.contraction, monomial)) > 1e-9:
                    return False
        return self._followed <= seen
