"""One operation of the program, as its rule sees it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import fx

from netsculpt.graph.algebra import Algebra
from netsculpt.graph.facts import (
    ActivationFact,
    Facts,
    InexactFact,
    RescaleFact,
    Role,
    RoleFact,
    RootFact,
    Scaler,
    SilenceFact,
    SizeFact,
    UncopyableFact,
    Value,
)
from netsculpt.graph.source import module_of, sizes_of, source_of
from netsculpt.graph.terms import Term, leaf

MANY = 8  # more scalers than this are no longer carried: a residual stream would collect a network of them


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

    @property
    def where(self) -> str:
        """Operation, module and source line, for reasons."""
        return source_of(self.node)

    @property
    def name(self) -> str:
        """The operation without namespace, overload or trailing underscore: relu_ is relu."""
        target = self.node.target
        name = target._schema.name.split("::")[-1] if isinstance(target, torch._ops.OpOverload) else str(target)
        return name.rstrip("_") if not name.startswith("_") else name

    def values(self) -> list[Value]:
        """All tensor arguments, those inside lists too, in the order of the schema."""
        found: list[Value] = []
        for argument in self.arguments.values():
            items = argument if isinstance(argument, (list, tuple)) else (argument,)
            found.extend(item for item in items if isinstance(item, Value))
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
        return leaf(size, frozen="positions")

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

    def consumes(self, weight: Value, dim: int, part: Term | None = None) -> None:
        """The constant ``weight`` is contracted over dimension ``dim``, or ``part`` of it, with an activation."""
        term = part or weight.dims[dim]
        self.role(weight, dim, Role.CONSUMER, term)
        if weight.scalers is None:
            self.inexact(term, "it is used by a weight that is computed from others")
        else:
            self._facts.silences.append(SilenceFact(weight.scalers, _origin(weight, dim), term))

    def contracted(self, term: Term, *operands: Value) -> None:
        """Two activations are contracted, or one is summed, over ``term``: one operand's producers weigh its units."""
        known = [operand.scalers for operand in operands if operand.scalers is not None]
        if not known:
            self.inexact(term, "a sum over it that no weight precedes")
            return
        self._facts.silences.append(SilenceFact(known[0], None, term))
        if len(known) > 1 and any(a.overlaps(b) for a in known[0] for b in known[1]):
            self._facts.uncopyable.append(UncopyableFact(term, f"a product of it with itself ({self.where})"))

    def depends_on_size(self, term: Term, scalers: frozenset[Scaler] | None, power: float, why: str) -> None:
        """The result is divided by size**power of ``term``, which scaling ``scalers`` can make up for."""
        if scalers is None:
            self.inexact(term, why)
        else:
            self._facts.rescales.append(RescaleFact(scalers, term, power))

    def scaled_by_root(self, term: Term, scalers: frozenset[Scaler] | None, factor: float) -> None:
        """The result is multiplied or divided by ``factor``, the root of the size of ``term``."""
        self._facts.roots.append(RootFact(self.node, term, scalers, factor))

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


def joined(*scalers: frozenset[Scaler] | None) -> frozenset[Scaler] | None:
    """The scalers of a sum: all of them; None where one is unknown or there are too many."""
    union: frozenset[Scaler] = frozenset()
    for names in scalers:
        if names is None:
            return None
        union |= names
    return union if len(union) <= MANY else None


def _origin(value: Value, dim: int) -> int | None:
    return value.origin[dim] if value.origin is not None else None


def selected(value: Value, term: Term, index: int) -> frozenset[Scaler] | None:
    """The scalers of ``value`` where ``term`` is at ``index``."""
    if value.scalers is None:
        return None
    return frozenset(Scaler(each.tensor, each.where | {(term, index)}) for each in value.scalers)
