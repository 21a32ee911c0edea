"""What the rules learn about a program besides which dimensions are equal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from torch import fx

from netsculpt.graph.makings import UNKNOWN, Making
from netsculpt.graph.terms import Term


class Role(Enum):
    """What a slice of a tensor does for the unit it belongs to."""

    PRODUCER = "producer"  # output dimension of a mixing weight: what makes the unit
    FOLLOWER = "follower"  # bias, norm, depthwise filter, running statistics: what goes along with the unit
    CONSUMER = "consumer"  # the dimension that a mixing weight contracts: what uses the unit


@dataclass(frozen=True)
class Value:
    """One tensor of the program.

    Attributes:
        dims: a term per dimension.
        constant: made of parameters, buffers and constants alone.
        tensors: names of the parameters and buffers in a constant value.
        origin: for a parameter or buffer itself, at most permuted or cast: its dimension for each of ``dims``.
        made: how it answers when slices of parameters are scaled, see ``makings``.
        summed: the contraction that it is the result of, perhaps times a number.
    """

    dims: tuple[Term, ...]
    constant: bool = False
    tensors: frozenset[str] = frozenset()
    origin: tuple[int | None, ...] | None = None
    made: Making = UNKNOWN
    summed: Contraction | None = None

    @staticmethod
    def of(
        dims: Iterable[Term], operands: Iterable[Value], made: Making = UNKNOWN, summed: Contraction | None = None
    ) -> Value:
        """A result of ``operands``: constant where all of them are."""
        operands = tuple(operands)
        constant = all(operand.constant for operand in operands)
        names = (name for operand in operands for name in operand.tensors)
        return Value(tuple(dims), constant, frozenset(names if constant else ()), None, made, summed)


class Operand(NamedTuple):
    """One factor of what is summed.

    Attributes:
        made: what it is made of; of a parameter itself, only along the dimension that is summed.
        constant: whether it is made of parameters, buffers and constants alone.
        beside: its other dimensions, where it cannot be told which slices belong to which.
    """

    made: Making
    constant: bool
    beside: tuple[Term, ...]


@dataclass(eq=False)
class Contraction:
    """A sum over ``term`` of a product of operands.

    Attributes:
        term: what is summed over.
        operands: those first that should weigh the units.
        where: operation and source line.
        node: name of the operation in the program.
        power: the result is divided by the size of ``term`` to this power.
        roots: numbers that the result is divided by.
    """

    term: Term
    operands: tuple[Operand, ...]
    where: str
    node: str
    power: float = 0.0
    roots: list[RootFact] = field(default_factory=list)


class RoleFact(NamedTuple):
    """The dimension ``dim`` (None: wherever ``term`` occurs) of ``tensors`` plays ``role`` for the axes in ``term``."""

    tensors: frozenset[str]
    dim: int | None
    term: Term
    role: Role


class RootFact(NamedTuple):
    """``node`` divides by the size of ``term`` to the ``power``, or by a number that happens to be just that."""

    node: fx.Node
    term: Term
    power: float
    number: float


class InexactFact(NamedTuple):
    """Removing a unit of ``term`` is not the same as silencing it."""

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
    """Everything learnt, in program order.

    ``followed`` are the ``roots`` that do follow the size; ``macs`` holds the terms whose sizes multiply to
    multiply-accumulates.
    """

    roles: list[RoleFact] = field(default_factory=list)
    contractions: list[Contraction] = field(default_factory=list)
    roots: list[RootFact] = field(default_factory=list)
    followed: set[RootFact] = field(default_factory=set)
    inexact: list[InexactFact] = field(default_factory=list)
    sizes: list[SizeFact] = field(default_factory=list)
    activations: list[ActivationFact] = field(default_factory=list)
    macs: list[tuple[Term, ...]] = field(default_factory=list)
