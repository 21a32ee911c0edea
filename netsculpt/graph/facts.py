"""What the rules learn about a program besides which dimensions are equal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from torch import fx

from netsculpt.graph.terms import Term


class Role(Enum):
    """What a slice of a tensor does for the unit it belongs to."""

    PRODUCER = "producer"  # output dimension of a mixing weight: what makes the unit
    FOLLOWER = "follower"  # bias, norm, depthwise filter, running statistics: what goes along with the unit
    CONSUMER = "consumer"  # the dimension that a mixing weight contracts: what uses the unit


class Scaler(NamedTuple):
    """The entries of ``tensor``, or only those ``where`` terms are at given indices: the queries of a fused weight."""

    tensor: str
    where: frozenset[tuple[Term, int]] = frozenset()

    def overlaps(self, other: Scaler) -> bool:
        """Whether the two may have entries in common."""
        mine = {term.find(): index for term, index in self.where}
        apart = any(mine.get(term.find(), index) != index for term, index in other.where)
        return self.tensor == other.tensor and not apart


@dataclass(frozen=True)
class Value:
    """One tensor of the program.

    Attributes:
        dims: a term per dimension.
        constant: made of parameters, buffers and constants alone.
        tensors: names of the parameters and buffers in a constant value.
        origin: for a parameter or buffer itself, at most permuted or cast: its dimension for each of ``dims``.
        scalers: parts of parameters such that scaling a unit's slices of all of them scales the unit's slice of this
            value by the same factor; None where no such parameters are known.
        summed: for a product of activations, what it was summed over and the scalers of an operand.
    """

    dims: tuple[Term, ...]
    constant: bool = False
    tensors: frozenset[str] = frozenset()
    origin: tuple[int | None, ...] | None = None
    scalers: frozenset[Scaler] | None = None
    summed: tuple[Term, frozenset[Scaler] | None] | None = None

    @staticmethod
    def of(
        dims: Iterable[Term],
        operands: Iterable[Value],
        scalers: frozenset[Scaler] | None = None,
        summed: tuple[Term, frozenset[Scaler] | None] | None = None,
    ) -> Value:
        """A result of ``operands``: constant where all of them are."""
        operands = tuple(operands)
        constant = all(operand.constant for operand in operands)
        names = (name for operand in operands for name in operand.tensors)
        return Value(tuple(dims), constant, frozenset(names if constant else ()), None, scalers, summed)


class RoleFact(NamedTuple):
    """The dimension ``dim`` (None: wherever ``term`` occurs) of ``tensors`` plays ``role`` for the axes in ``term``."""

    tensors: frozenset[str]
    dim: int | None
    term: Term
    role: Role


class SilenceFact(NamedTuple):
    """The slices of ``scalers`` along ``dim`` (None: wherever ``term`` occurs) weigh the units of ``term``."""

    scalers: frozenset[Scaler]
    dim: int | None
    term: Term


class RescaleFact(NamedTuple):
    """The result depends on the size of ``term``: ``scalers`` times (new/old)**power make up for it."""

    scalers: frozenset[Scaler]
    term: Term
    power: float


class RootFact(NamedTuple):
    """``node`` multiplies or divides by ``factor``, which is the root of the size of ``term``, perhaps by design."""

    node: fx.Node
    term: Term
    scalers: frozenset[Scaler] | None
    factor: float


class InexactFact(NamedTuple):
    """Removing a unit of ``term`` is not the same as silencing it."""

    term: Term
    why: str


class UncopyableFact(NamedTuple):
    """Two copies of a unit of ``term`` that share its outgoing weight are not the same as the unit."""

    term: Term
    why: str


class SizeFact(NamedTuple):
    """The operation of ``node`` arranges entries by the size of ``term``."""

    node: fx.Node
    term: Term
    place: int | None = None  # which of several factors of a view it is, heads coming before widths; None for no factor
    last: bool = False  # whether it is the last factor
    given: bool = True  # whether the code states the size, computed or written out, or leaves it to torch
    literal: bool = False  # whether it is hardly computed from a shape, so that it must be some attribute


class ActivationFact(NamedTuple):
    """``term`` goes through a nonlinear pointwise operation."""

    term: Term
    operation: str
    node: str


@dataclass
class Facts:
    """Everything learnt, in program order; ``macs`` holds the terms whose sizes multiply to multiply-accumulates."""

    roles: list[RoleFact] = field(default_factory=list)
    silences: list[SilenceFact] = field(default_factory=list)
    rescales: list[RescaleFact] = field(default_factory=list)
    roots: list[RootFact] = field(default_factory=list)
    inexact: list[InexactFact] = field(default_factory=list)
    uncopyable: list[UncopyableFact] = field(default_factory=list)
    sizes: list[SizeFact] = field(default_factory=list)
    activations: list[ActivationFact] = field(default_factory=list)
    macs: list[tuple[Term, ...]] = field(default_factory=list)
