"""Axes: what the terms and facts of a program come down to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, count
from typing import NamedTuple

from netsculpt.graph.analysis import Analysis
from netsculpt.graph.facts import Role
from netsculpt.graph.limits import Limit
from netsculpt.graph.positions import IndexMap, index_maps
from netsculpt.graph.terms import Term, leaves
from netsculpt.graph.weighing import Rescale, Weighing, weigh


class Place(NamedTuple):
    """Where the units of an axis lie in one dimension of one parameter or buffer.

    Attributes:
        tensor: name in ``named_parameters`` or ``named_buffers``; of tied ones the first.
        dim: dimension of the tensor.
        entries: entries of a unit along that dimension.
        role: what the slices do for their unit.
        silences: None, or that a unit counts for nothing when its slices here, in all such places, are zero: for each
            way, the (term, index) pairs to which the slices are limited, usually none.
    """

    tensor: str
    dim: int
    entries: IndexMap
    role: Role
    silences: tuple[Limit, ...] = ()


@dataclass(eq=False)
class Axis:
    """Units that exist together: one index, and every slice of every tensor that goes with it.

    Attributes:
        name: the layer that makes the units, with what they are where it makes several kinds.
        found: ``places`` when last looked at.
        frozen: why units can be neither added nor removed; None where they can.
        inexact: why removing a unit is not the same as silencing it; None where it is.
        uncopyable: why two copies of a unit that share its outgoing weight differ from it; None where they do not.
        nonlinearity: the first pointwise nonlinear operation that the units go through: (operation, traced node).
        rescales: what makes up for the axis's size in an average or an attention scale.
        attributes: (module path, attribute) that state the size of the axis or of a dimension that it is part of.
        moved: where axes lie now, if they have changed size since.
    """

    name: str
    term: Term = field(repr=False)
    found: tuple[Place, ...]
    frozen: str | None = None
    inexact: str | None = None
    uncopyable: str | None = None
    nonlinearity: tuple[str, str] | None = None
    rescales: tuple[Rescale, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()
    moved: Positions | None = field(default=None, repr=False)

    @property
    def places(self) -> tuple[Place, ...]:
        """Where the units lie."""
        if self.moved is not None:
            here = zip(self.found, self.moved.of[self.term.find()], strict=True)
            self.found = tuple(place._replace(entries=entries) for place, (*_, entries) in here)
            self.moved = None
        return self.found

    @property
    def size(self) -> int:
        """Number of units now."""
        return self.term.size

    @property
    def producers(self) -> tuple[Place, ...]:
        """Places that make the units."""
        return self._with_role(Role.PRODUCER)

    @property
    def followers(self) -> tuple[Place, ...]:
        """Places that go along with the units."""
        return self._with_role(Role.FOLLOWER)

    @property
    def consumers(self) -> tuple[Place, ...]:
        """Places that use the units."""
        return self._with_role(Role.CONSUMER)

    @property
    def exact(self) -> bool:
        """Whether removing a unit is the same as silencing it."""
        return self.inexact is None

    def _with_role(self, role: Role) -> tuple[Place, ...]:
        return tuple(place for place in self.places if place.role is role)


def find_axes(analysis: Analysis) -> list[Axis]:
    """The axes that some tensor's slices make, in the order in which the program meets them."""
    places = _Places(analysis)
    weighings = weigh(places.made, analysis)
    inexact = _first_reasons((fact.term, fact.why) for fact in analysis.facts.inexact)
    activations: dict[Term, tuple[str, str]] = {}
    for activation in analysis.facts.activations:
        for axis in leaves(activation.term):
            activations.setdefault(axis, (activation.operation, activation.node))
    axes = []
    for axis in places.made:
        weighing = weighings[axis]
        reason = inexact.get(axis) or weighing.inexact
        axes.append(
            Axis(
                name="",
                term=axis,
                found=places.of(axis, weighing),
                frozen=axis.frozen,
                inexact=reason,
                uncopyable=reason or weighing.uncopyable or places.tied(axis),
                nonlinearity=activations.get(axis),
                rescales=weighing.rescales,
            )
        )
    _name(axes, analysis)
    return axes


class Positions:
    """Where every axis lies, found when it is first asked for."""

    def __init__(self, tensors: Mapping[str, Sequence[Term]]) -> None:
        self._tensors = tensors

    @cached_property
    def of(self) -> dict[Term, list[tuple[str, int, IndexMap]]]:
        """(tensor, dim, entries) by axis."""
        return _occurrences(self._tensors)


def follow(axes: Iterable[Axis], tensors: Mapping[str, Sequence[Term]]) -> None:
    """Let places be found again, when they are asked for, after axes changed size."""
    positions = Positions(tensors)
    for axis in axes:
        axis.moved = positions


def _occurrences(tensors: Mapping[str, Sequence[Term]]) -> dict[Term, list[tuple[str, int, IndexMap]]]:
    """Where every axis lies: (tensor, dim, entries), by tensor."""
    found: dict[Term, list[tuple[str, int, IndexMap]]] = {}
    maps: dict[Term, list[tuple[Term, IndexMap]]] = {}  # most dimensions are the same: of a weight, its norm, its users
    for name, dims in tensors.items():
        for dim, term in enumerate(dims):
            root = term.find()
            if root not in maps:
                maps[root] = list(index_maps(root))
            for axis, entries in maps[root]:
                found.setdefault(axis, []).append((name, dim, entries))
    return found


class _Places:
    """Roles by tensor, dimension and axis, resolved once after all equations are known."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self._roles: dict[tuple[str, int, Term], set[Role]] = {}
        self._producer: dict[Term, None] = {}
        self._at = _occurrences(analysis.tensors)
        self._axes: dict[tuple[str, int], set[Term]] = {}
        for axis, found in self._at.items():
            for name, dim, _ in found:
                self._axes.setdefault((name, dim), set()).add(axis)
        for fact in analysis.facts.roles:
            for key in self._resolved(fact.tensors, fact.dim, fact.term):
                self._roles.setdefault(key, set()).add(fact.role)
                if fact.role is Role.PRODUCER:
                    self._producer.setdefault(key[2])

    @property
    def made(self) -> list[Term]:
        """Axes that some weight makes, in program order; a dimension that no weight makes has no units."""
        return [axis for axis in self._producer if axis in self._at and not self._structural(axis)]

    def _structural(self, axis: Term) -> bool:
        """Whether it is frozen beside axes that are not: gates, query-key-value."""
        if axis.frozen is None:
            return False
        name, dim, _ = self._at[axis][0]
        return any(other.frozen is None for other in self._axes[name, dim])

    def of(self, axis: Term, weighing: Weighing) -> tuple[Place, ...]:
        return tuple(
            Place(name, dim, entries, self._role((name, dim, axis)), weighing.silences.get((name, dim), ()))
            for name, dim, entries in self._at[axis]
        )

    def tied(self, axis: Term) -> str | None:
        for name, dim, _ in self._at[axis]:
            roles = self._roles.get((name, dim, axis), set())
            if Role.CONSUMER in roles and len(roles) > 1:
                return f"{name} both makes and uses its units"
        return None

    def _role(self, key: tuple[str, int, Term]) -> Role:
        roles = self._roles.get(key, ())
        return Role.PRODUCER if Role.PRODUCER in roles else Role.CONSUMER if Role.CONSUMER in roles else Role.FOLLOWER

    def _resolved(self, tensors: Iterable[str], dim: int | None, term: Term) -> list[tuple[str, int, Term]]:
        axes = list(dict.fromkeys(leaves(term)))
        keys: list[tuple[str, int, Term]] = []
        for name in sorted(tensors):
            dims = range(len(self._analysis.tensors[name])) if dim is None else (dim,)
            keys.extend((name, at, axis) for at in dims for axis in axes if axis in self._axes[name, at])
        return keys


def _first_reasons(facts: Iterable[tuple[Term, str]]) -> dict[Term, str]:
    reasons: dict[Term, str] = {}
    for term, why in facts:
        for axis in leaves(term):
            reasons.setdefault(axis, why)
    return reasons


def _name(axes: Sequence[Axis], analysis: Analysis) -> None:
    """The producing layer's path; "/2" where its output holds several axes; the tensor's name where that is taken."""
    taken: set[str] = set()
    for axis in axes:
        place = (axis.producers or axis.places)[0]
        owner = layer_of(place.tensor)
        siblings = [each for each in leaves(analysis.tensors[place.tensor][place.dim]) if each.size > 1]
        several = len(dict.fromkeys(siblings)) > 1
        suffix = f"/{siblings.index(axis.term)}" if several and axis.term in siblings else ""
        candidates = chain((owner + suffix, place.tensor + suffix), (f"{place.tensor}.{k}{suffix}" for k in count()))
        axis.name = next(name for name in candidates if name not in taken)
        taken.add(axis.name)


def layer_of(tensor: str) -> str:
    """The module that a user would name for a tensor: 'conv1' for 'conv1.parametrizations.weight.original0'."""
    path = tensor.split(".parametrizations.")[0] if ".parametrizations." in tensor else tensor.rpartition(".")[0]
    return path or tensor
