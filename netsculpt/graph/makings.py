"""What a value is made of: how it answers when slices of parameters along an axis are scaled.

A value is a sum of *monomials*, products of *factors*. A bias added to a product of input and weight is two monomials;
queries times keys are one of two factors for each pair of theirs. Where a value grows in proportion to a parameter's
slices, those slices weigh its units: they silence a unit, share its weight among copies, or make up for its number.
What went through a nonlinear operation is *opaque*: it depends on parameters, nothing is known how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from netsculpt.graph.terms import Term, leaves

if TYPE_CHECKING:
    from netsculpt.graph.facts import RootFact

MANY = 24  # monomials, factors and parameters that are carried: a residual stream would collect a network of them

# Per sum that a factor went through: the terms that it was summed over, and those that it kept.
Sums: TypeAlias = tuple[tuple[frozenset[Term], frozenset[Term]], ...]


class Scaler(NamedTuple):
    """Proportional to the entries of ``tensor``.

    Attributes:
        tensor: name of a parameter.
        where: (term, index) pairs: only the entries at these indices, the queries of a fused weight.
        dim: the only dimension of the tensor that counts; None where all do but those spent.
        spent: dimensions of the tensor that were summed over since.
        sums: sums since, of something that the parameter had become a part of.
    """

    tensor: str
    where: frozenset[tuple[Term, int]] = frozenset()
    dim: int | None = None
    spent: frozenset[int] = frozenset()
    sums: Sums = ()


class Opaque(NamedTuple):
    """Depends on ``scalers`` and computed ``roots`` somehow; ``scalers`` None: on anything."""

    scalers: frozenset[Scaler] | None
    roots: frozenset[RootFact] = frozenset()
    sums: Sums = ()


class Piece(NamedTuple):
    """Counts only for the entries of ``part`` in the concatenation ``whole``."""

    part: Term
    whole: Term


class Root(NamedTuple):
    """Divided by a number that may be a root of a size."""

    fact: RootFact


Factor: TypeAlias = Scaler | Opaque | Piece | Root
Monomial: TypeAlias = tuple[Factor, ...]
Making: TypeAlias = tuple[Monomial, ...]

ZERO: Making = ()
CONSTANT: Making = ((),)  # whatever the parameters are
UNKNOWN: Making = ((Opaque(None),),)


def parameter(name: str) -> Making:
    """A parameter itself."""
    return ((Scaler(name),),)


def plus(*makings: Making) -> Making:
    """A sum."""
    monomials = tuple(dict.fromkeys(monomial for making in makings for monomial in making))
    return monomials if len(monomials) <= MANY else opaque(monomials)


def times(a: Making, b: Making) -> Making:
    """A product; the factors of ``b`` count as the later ones."""
    if len(a) * len(b) > MANY or any(len(x) + len(y) > MANY for x in a for y in b):
        return opaque(a, b)
    return tuple(dict.fromkeys(x + y for x in a for y in b))


def opaque(*makings: Making) -> Making:
    """Any function."""
    scalers: set[Scaler] = set()
    roots: set[RootFact] = set()
    unknown: dict[Sums, None] = {}
    for factor in (factor for making in makings for monomial in making for factor in monomial):
        if isinstance(factor, Scaler):
            scalers.add(factor)
        elif isinstance(factor, Root):
            roots.add(factor.fact)
        elif isinstance(factor, Opaque):
            roots |= factor.roots
            scalers.update(each._replace(sums=each.sums + factor.sums) for each in factor.scalers or ())
            if factor.scalers is None:
                unknown.setdefault(factor.sums)
    if len(scalers) > MANY or len(unknown) > MANY or () in unknown:
        return ((Opaque(None, frozenset(roots)),),)
    known = [Opaque(frozenset(scalers), frozenset(roots))] if scalers or roots else []
    return ((*known, *(Opaque(None, sums=sums) for sums in unknown)),)


def at(making: Making, term: Term, index: int) -> Making:
    """Only where ``term`` is at ``index``."""

    def limited(factor: Factor) -> Factor:
        return factor._replace(where=factor.where | {(term, index)}) if isinstance(factor, Scaler) else factor

    return _each(making, limited)


def piece(making: Making, part: Term, whole: Term) -> Making:
    """A part of a concatenation."""
    return tuple((*monomial, Piece(part, whole)) for monomial in making)


def only(making: Making, dim: int) -> Making:
    """A parameter itself, along one of its dimensions alone."""
    return _each(making, lambda each: each._replace(dim=dim) if isinstance(each, Scaler) else each)


def spent(making: Making, dim: int) -> Making:
    """A parameter itself, after a sum over one of its dimensions."""
    return _each(making, lambda each: each._replace(spent=each.spent | {dim}) if isinstance(each, Scaler) else each)


def summed(making: Making, over: Iterable[Term], kept: Iterable[Term]) -> Making:
    """After a sum over some dimensions, which kept others."""
    step = (frozenset(over), frozenset(kept))
    axes = {axis for term in step[0] for axis in leaves(term)}

    def one(factor: Factor) -> Factor | None:
        if isinstance(factor, (Scaler, Opaque)):
            return factor._replace(sums=(*factor.sums, step))
        gone = isinstance(factor, Piece) and not axes.isdisjoint(leaves(factor.whole))
        return None if gone else factor

    return _each(making, one)


def _each(making: Making, change: Callable[[Factor], Factor | None]) -> Making:
    changed = (tuple(change(factor) for factor in monomial) for monomial in making)
    return tuple(dict.fromkeys(tuple(factor for factor in each if factor is not None) for each in changed))
