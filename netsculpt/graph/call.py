"""One operation of the program, as its rule sees it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import fx

from netsculpt.graph import makings
from netsculpt.graph.algebra import Algebra
from netsculpt.graph.facts import (
    ActivationFact,
    Contraction,
    Facts,
    InexactFact,
    Operand,
    Role,
    RoleFact,
    RootFact,
    SizeFact,
    Value,
)
from netsculpt.graph.makings import CONSTANT, Making
from netsculpt.graph.source import module_of, sizes_of, source_of
from netsculpt.graph.terms import Term, is_frozen, leaf

POWERS = (0.5, -0.5, 1.0, -1.0, 0.25, -0.25)  # of sizes that code multiplies and divides by


class Call:
    """An operation with its arguments by name: tensors as ``Value``, everything else as it is.

    Attributes:
        node: the traced node; ``node.meta`` holds module path and source line.
        shapes: the shape of every tensor output.
    """

    def __init__(self, node: fx.Node, arguments: dict[str, Any], algebra: Algebra, facts: Facts) -> None:
        self.node = node
        self.arguments = arguments
        self.shapes = sizes_of(node)
        self.module = module_of(node)
        self._algebra = algebra
        self._facts = facts

    # -- reading ----------------------------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Any:
        """The argument called ``name`` in the operation's schema; None where it was not given and has no default."""
        return self.arguments.get(name)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the only output, or of the first one."""
        return self.shapes[0]

    @cached_property
    def where(self) -> str:
        """Operation, module and source line, for reasons."""
        return source_of(self.node)

    @property
    def name(self) -> str:
        """The operation without namespace, overload or trailing underscore: relu_ is relu."""
        target = self.node.target
        name = target._schema.name.split("::")[-1] if isinstance(target, torch._ops.OpOverload) else str(target)
        return name.rstrip("_") if not name.startswith("_") else name

    @property
    def only_use_of_operand(self) -> bool:
        """Whether nothing else uses the first operand."""
        first = self.node.args[0]
        return isinstance(first, fx.Node) and len(first.users) == 1

    def values(self) -> list[Value]:
        """All tensor arguments, those inside lists too, in the order of the schema."""
        return list(self._values)

    @cached_property
    def _values(self) -> list[Value]:
        found: list[Value] = []
        for argument in self.arguments.values():
            if isinstance(argument, Value):
                found.append(argument)
            elif isinstance(argument, (list, tuple)):
                found.extend(item for item in argument if isinstance(item, Value))
        return found

    # -- equating and freezing --------------------------------------------------------------------------------------

    def equate(self, a: Term | Sequence[Term], b: Term | Sequence[Term]) -> None:
        """Make two dimensions, or two equally long lists of them, the same."""
        if isinstance(a, Term) and isinstance(b, Term):
            self._algebra.equate(a, b)
            return
        assert not isinstance(a, Term) and not isinstance(b, Term)
        for x, y in zip(a, b, strict=True):
            self._algebra.equate(x, y)

    def freeze(self, terms: Term | Iterable[Term], why: str) -> None:
        """Forbid changing the units of every axis in ``terms``; the source line is added to the reason."""
        for term in (terms,) if isinstance(terms, Term) else terms:
            if term.size != 1 or not term.find().frozen:
                self._algebra.freeze(term, f"{why} ({self.where})")

    def position(self, size: int) -> Term:
        """A new dimension whose entries are places (pixels, tokens), not units."""
        return leaf(size, frozen=f"its entries are places, such as pixels or tokens ({self.where})")

    def factor(self, term: Term, inner: int) -> tuple[Term, Term]:
        """``term`` as (outer, inner); frozen where it cannot be factored."""
        factors = self._algebra.factor(term, inner)
        if factors is None:
            why = f"its entries, {term}, do not divide into groups of {inner} ({self.where})"
            self._algebra.freeze(term, why)
            return leaf(term.size // inner, frozen=why), leaf(inner, frozen=why)
        return factors

    def cut(self, term: Term, at: int) -> tuple[Term, Term]:
        """``term`` as two pieces; frozen where that would cut through a unit."""
        pieces = self._algebra.cut(term, at)
        if pieces is None:
            why = f"a cut of its entries, {term}, at {at} would go through a unit ({self.where})"
            self._algebra.freeze(term, why)
            return leaf(at, frozen=why), leaf(term.size - at, frozen=why)
        return pieces

    # -- facts ------------------------------------------------------------------------------------------------------

    def role(self, value: Value, dim: int, role: Role, part: Term | None = None) -> None:
        """Dimension ``dim`` of the constant ``value``, or only the axes in ``part`` of it, plays ``role``."""
        if value.tensors:
            self._facts.roles.append(RoleFact(value.tensors, _origin(value, dim), part or value.dims[dim], role))

    def consumes(
        self, weight: Value, dim: int, x: Value | None = None, at: int = -1, part: Term | None = None
    ) -> Contraction:
        """The constant ``weight`` is contracted over ``dim``, or ``part`` of it, with dimension ``at`` of ``x``."""
        self.role(weight, dim, Role.CONSUMER, part)
        return self.contracted(part or weight.dims[dim], (weight, dim), (x or Value(()), at))

    def contracted(self, term: Term, *operands: tuple[Value, int], power: float = 0.0) -> Contraction:
        """A product of ``operands`` is summed over ``term``, a dimension of each, and divided by its size**power.

        The slices that make one operand, a constant one first, weigh the units of ``term``.
        """
        ordered = sorted(operands, key=lambda operand: not operand[0].constant)
        factors = tuple(_operand(*operand) for operand in ordered)
        contraction = Contraction(term, factors, self.where, self.node.name, power)
        self._facts.contractions.append(contraction)
        return contraction

    def divided(self, terms: Iterable[Term], number: float) -> list[RootFact]:
        """The result is divided by ``number``: those of ``terms`` whose size to some power it may be."""
        found = [
            RootFact(self.node, term, power, number)
            for term in terms
            if term.size > 1 and not is_frozen(term)
            for power in POWERS
            if math.isclose(number, term.size**power, rel_tol=1e-6)
        ]
        self._facts.roots.extend(found)
        return found

    def inexact(self, term: Term, why: str) -> None:
        """Removing a unit of ``term`` is not the same as silencing it."""
        self._facts.inexact.append(InexactFact(term, f"{why} ({self.where})"))

    def asks_size(self, term: Term, **about: Any) -> None:
        """The operation arranges entries by the size of ``term``: an attribute may have to follow. See ``SizeFact``."""
        self._facts.sizes.append(SizeFact(self.node, term, **about))

    def activation(self, terms: Iterable[Term]) -> None:
        """``terms`` go through a nonlinear pointwise operation."""
        self._facts.activations.extend(ActivationFact(term, self.name, self.node.name) for term in terms)

    def macs(self, terms: Iterable[Term]) -> None:
        """The operation takes as many multiply-accumulates as the product of the sizes of ``terms``."""
        self._facts.macs.append(tuple(terms))


def _origin(value: Value, dim: int) -> int | None:
    return value.origin[dim] if value.origin is not None else None


def _operand(value: Value, dim: int) -> Operand:
    if not value.dims:
        return Operand(value.made, value.constant, ())
    dim %= len(value.dims)
    at = _origin(value, dim)
    if at is not None:  # a buffer that is used like a weight may silence a unit; elsewhere buffers are not scaled
        made = value.made if value.made != CONSTANT else makings.parameter(*value.tensors)
        return Operand(makings.only(made, at), value.constant, ())
    return Operand(value.made, value.constant, (*value.dims[:dim], *value.dims[dim + 1 :]))


def summed(value: Value, *dims: int) -> Making:
    """What a sum over ``dims`` of ``value`` is made of; nothing of it where no units are left."""
    over = [value.dims[dim] for dim in dims]
    kept = [term for dim, term in enumerate(value.dims) if dim not in dims and not is_frozen(term)]
    if not value.constant and not kept:
        return CONSTANT
    made = value.made
    for dim, term in zip(dims, over, strict=True):
        at = _origin(value, dim)
        whole = value.origin is not None and value.origin.count(at) == 1
        made = makings.spent(made, at) if at is not None and whole else makings.summed(made, [term], kept)
    return made
