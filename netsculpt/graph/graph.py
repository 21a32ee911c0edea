"""The graph of a model: its axes, and what becomes of every tensor when they change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from netsculpt.errors import ArgumentError, GraphError
from netsculpt.graph.attributes import SizeAttribute
from netsculpt.graph.axes import Axis, Place, follow
from netsculpt.graph.costs import Cost, falls, size_with, total
from netsculpt.graph.gather import Gather
from netsculpt.graph.limits import Limit, within
from netsculpt.graph.positions import contains, factors, sources
from netsculpt.graph.program import Inputs, Program
from netsculpt.graph.terms import Term, forget_sizes

if TYPE_CHECKING:
    from netsculpt.graph.verify import Proof


class Change(NamedTuple):
    """What happens to the units of one axis.

    Attributes:
        units: int64 [new size], the old unit that each new one is taken from, -1 for a new unit.
        weights: float64 [new size], factors on the slices that weigh the unit; None for ones.
    """

    units: Tensor
    weights: Tensor | None = None


class Rearrangement(NamedTuple):
    """What a change of axes does to a model.

    Attributes:
        gathers: tensor name -> how its entries are rearranged.
        attributes: (module path, attribute, new value).
    """

    gathers: dict[str, Gather]
    attributes: list[tuple[str, str, object]]


@dataclass(eq=False)
class Graph:
    """Which slices of which tensors form one unit. Made by ``trace``; ``print`` shows a table of the axes.

    Attributes:
        axes: every axis that a weight makes, in program order, frozen ones too.
        tensors: parameter or buffer name -> a term per dimension; of tied ones the first name.
        aliases: that name -> all names of the same tensor.
        unknown: operations without a rule, and where they stand.
        dynamic_batch: whether multiply-accumulates are those of one example, or of the whole traced batch.
        program: the traced program; it describes the model as it was when traced.
        protected: (module path, side) of the ignored layers.
        values: operation of the program -> the terms of its outputs' dimensions.
        sums: operation of the program -> the terms that it sums over.
    """

    axes: tuple[Axis, ...]
    tensors: dict[str, tuple[Term, ...]]
    aliases: dict[str, tuple[str, ...]]
    unknown: tuple[str, ...]
    program: Program = field(repr=False)
    attributes: tuple[SizeAttribute, ...] = field(repr=False)
    parameters: frozenset[str] = field(repr=False)
    products: tuple[tuple[Term, ...], ...] = field(repr=False)
    batch: tuple[Term, ...] = field(repr=False)
    protected: tuple[tuple[str, str], ...] = field(repr=False)
    values: dict[str, tuple[tuple[Term, ...], ...]] = field(repr=False)
    sums: dict[str, tuple[Term, ...]] = field(repr=False)

    def __getitem__(self, name: str) -> Axis:
        """The axis called ``name``.

        Raises:
            GraphError: there is none.
        """
        found = self._by_name.get(name)
        if found is None:
            close = [each for each in self._by_name if name in each or each in name][:3] or list(self._by_name)[:3]
            raise GraphError(f"there is no axis {name!r}; there are {len(self.axes)}, among them {', '.join(close)}")
        return found

    def names(self, axes: Iterable[str] | None = None) -> list[str]:
        """The names in ``axes``, each once, or those of all axes.

        Raises:
            ArgumentError: they are no sequence of names.
            GraphError: there is no axis of a name.
        """
        if axes is None:
            return [axis.name for axis in self.axes]
        return [self[name].name for name in listed(axes)]

    def __iter__(self) -> Iterator[Axis]:
        return iter(self.axes)

    def __len__(self) -> int:
        return len(self.axes)

    def __str__(self) -> str:
        from netsculpt.graph.table import table

        return table(self)

    @property
    def sculptable(self) -> tuple[Axis, ...]:
        """Axes whose units can be added and removed."""
        return tuple(axis for axis in self.axes if axis.frozen is None)

    @property
    def dynamic_batch(self) -> bool:
        """Whether the batch may be any size."""
        return self.program.dynamic_batch

    @property
    def inputs(self) -> Inputs:
        """The example inputs that the model was traced with."""
        return self.program.inputs

    def verify(self, model: nn.Module, seed: int = 0) -> list[Proof]:
        """Prove on a float64 copy of ``model``, with the inputs it was traced with, that the graph is right about it.

        For every axis that can change: its units are permuted at random, which must leave the outputs alone, and a
        random half of them is silenced, which must give the outputs of the model without them.

        Args:
            model: the model that was traced, or one built like it; not changed.
            seed: of the permutations.

        Returns:
            A proof per axis that can change; ``all(proof.holds for proof in proofs)`` says that the graph is right.
        """
        from netsculpt.graph.verify import verify

        return verify(self, model, self.inputs.args, self.inputs.kwargs, seed)

    @cached_property
    def _by_name(self) -> dict[str, Axis]:
        return {axis.name: axis for axis in self.axes}

    # -- costs ------------------------------------------------------------------------------------------------------

    def cost(self, sizes: Mapping[str, int] | None = None) -> Cost:
        """Parameters and multiply-accumulates, as things are or if the named axes had the given numbers of units."""
        assumed = {self[name].term.find(): size for name, size in (sizes or {}).items()}
        return Cost(total(self._weights(), assumed), total(self.products, assumed | self._one_example()))

    def cost_per_unit(self, name: str) -> Cost:
        """By how much the model shrinks when the axis called ``name`` loses one unit."""
        axis = self[name].term.find()
        params, macs = self._unit_costs
        return Cost(params.get(axis, 0), macs.get(axis, 0))

    def cost_on(self, name: str) -> Cost:
        """What lies on the axis called ``name``: by how much the model would shrink without it."""
        axis = self[name].term.find()
        params, macs = self._whole_costs
        return Cost(params.get(axis, 0), macs.get(axis, 0))

    @cached_property
    def _unit_costs(self) -> tuple[dict[Term, int], dict[Term, int]]:
        return self._falls(lambda size: size - 1)

    @cached_property
    def _whole_costs(self) -> tuple[dict[Term, int], dict[Term, int]]:
        return self._falls(lambda _: 0)

    def _falls(self, left: Callable[[int], int]) -> tuple[dict[Term, int], dict[Term, int]]:
        return falls(self._weights(), {}, left), falls(self.products, self._one_example(), left)

    def tensor_size(self, name: str) -> int:
        """Number of entries of a parameter or buffer."""
        return math.prod(term.size for term in self.tensors[name])

    def _weights(self) -> list[tuple[Term, ...]]:
        return [dims for name, dims in self.tensors.items() if name in self.parameters]

    def _one_example(self) -> dict[Term, int]:
        return {term.find(): 1 for term in self.batch} if self.dynamic_batch else {}

    # -- changes ----------------------------------------------------------------------------------------------------

    def rearrangement(self, changes: Mapping[str, Change]) -> Rearrangement:
        """What changing the units of the named axes, all at once, does to tensors and attributes.

        Raises:
            GraphError: an axis does not exist or is frozen.
            ArgumentError: units lie outside the axis, or there are none left.
        """
        for name, change in changes.items():
            self._check(self[name], change)
        moved = {self[name].term.find(): name for name in changes}
        units = {axis: changes[name].units for axis, name in moved.items()}
        sizes = {axis: len(kept) for axis, kept in units.items()}
        scales = self._scales(changes, sizes)
        different = {term.find() for dims in self.tensors.values() for term in dims}
        entries = {term: sources(term, units) for term in different if contains(term, moved)}
        gathers = {}
        for name, dims in self.tensors.items():
            index = {dim: entries[term.find()] for dim, term in enumerate(dims) if term.find() in entries}
            if index:
                gathers[name] = Gather(index, {dim: scales[name, dim] for dim in index if (name, dim) in scales})
        return Rearrangement(gathers, list(self.attribute_values(sizes)))

    def resize(self, sizes: Mapping[str, int]) -> None:
        """Record that the named axes of the model now have the given numbers of units."""
        for name, size in sizes.items():
            self[name].term.resize(size)
        forget_sizes(term for dims in self.tensors.values() for term in dims)
        forget_sizes(term for terms in self.products for term in terms)
        forget_sizes(term for each in self.attributes for term in each.terms)
        follow(self.axes, self.tensors)
        self.__dict__.pop("_unit_costs", None)
        self.__dict__.pop("_whole_costs", None)

    def _check(self, axis: Axis, change: Change) -> None:
        if axis.frozen is not None:
            raise GraphError(f"the units of {axis.name!r} cannot be changed: {axis.frozen}")
        units, weights = change
        if units.dtype != torch.int64 or units.dim() != 1 or not len(units):
            raise ArgumentError(f"the new units of {axis.name!r} must be a non-empty int64 vector, not {units!r}")
        if int(units.max()) >= axis.size or int(units.min()) < -1:
            raise ArgumentError(
                f"{axis.name!r} has units 0 to {axis.size - 1}, not {int(units.min())} to {int(units.max())}"
            )
        if weights is not None and weights.shape != units.shape:
            raise ArgumentError(f"{axis.name!r}: {len(units)} units need as many weights, not {list(weights.shape)}")

    def _scales(self, changes: Mapping[str, Change], sizes: Mapping[Term, int]) -> dict[tuple[str, int], Tensor]:
        """Factors by tensor and dimension: shares of copies where units are weighed, and what makes up for a size."""
        found: dict[tuple[str, int], Tensor] = {}
        for name, change in changes.items():
            axis = self[name]
            if change.weights is not None and bool((change.weights == 1).all()):
                change = Change(change.units)  # ones would cost a pass in float64 over all that they weigh
            if change.weights is None and not axis.rescales:
                continue
            for place in {(place.tensor, place.dim): place for place in axis.places}.values():
                term = self.tensors[place.tensor][place.dim]
                for limits, share in _shares(axis, place, change):
                    shares = factors(term, {axis.term.find(): share}, sizes)
                    scale = 1 + within(term, limits, sizes) * (shares - 1)
                    before = found.get((place.tensor, place.dim))
                    found[place.tensor, place.dim] = scale if before is None else before * scale
        return found

    def attribute_values(self, sizes: Mapping[Term, int]) -> Iterator[tuple[str, str, object]]:
        """(module path, attribute, value) of all attributes that change when axes have the given sizes."""
        for each in self.attributes:
            if any(contains(term, sizes) for term in each.terms):
                values = tuple(size_with(term, sizes) for term in each.terms)
                yield each.module, each.attribute, values if each.as_tuple else values[0]


def _shares(axis: Axis, place: Place, change: Change) -> Iterator[tuple[Sequence[Limit], Tensor]]:
    """The factors of the units at a place, each with what it is limited to."""
    units, weights = change
    if weights is not None and place.silences:
        yield place.silences, weights.to(torch.float64)
    if len(units) != axis.size:
        for rescale in axis.rescales:
            limits = rescale.limits(place.tensor, place.dim)
            if limits:
                ratio = (len(units) / axis.size) ** rescale.power
                yield limits, torch.full((len(units),), ratio, dtype=torch.float64)


def listed(axes: Iterable[str]) -> list[str]:
    """Names of axes, each once.

    Raises:
        ArgumentError: they are no sequence of names.
    """
    if isinstance(axes, str) or not isinstance(axes, Iterable):
        raise ArgumentError(f"axes must be several names of axes, such as ['features.0'], or None, not {axes!r}")
    found = list(dict.fromkeys(axes))
    for name in found:
        if not isinstance(name, str):
            raise ArgumentError(f"axes must be names of axes, not {name!r}")
    return found
