"""What criteria look at: a model and its graph, alone or with calibration statistics."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from torch import Tensor, nn

from netsculpt.edit.wrappers import unwrapped
from netsculpt.errors import ArgumentError
from netsculpt.graph import Graph
from netsculpt.measure import Statistics


class Subject(Protocol):
    """Whatever has a model and its graph: ``Statistics``, a ``Sculptor``, or a ``Pair`` of both."""

    @property
    def model(self) -> nn.Module:
        """The model."""
        ...

    @property
    def graph(self) -> Graph:
        """Its graph."""
        ...


class Pair(NamedTuple):
    """A model and its graph, for criteria that look at nothing but weights."""

    model: nn.Module
    graph: Graph


class Inapplicable(ArgumentError):
    """A criterion has nothing to say about an axis, such as the scale of a batch norm about one without any."""


def parameters_of(subject: Subject) -> dict[str, Tensor]:
    """The model's parameters as they are now, detached, by name; of tied ones the first name."""
    return {name: each.detach() for name, each in unwrapped(subject.model).named_parameters()}


def measured(subject: Subject, criterion: str) -> Statistics:
    """``subject``, where it was measured.

    Raises:
        ArgumentError: it was not.
        MeasureError: the model has changed since.
    """
    if not isinstance(subject, Statistics):
        raise ArgumentError(
            f"criterion {criterion!r} needs the Statistics of a calibration pass, not a {type(subject).__name__}"
        )
    subject.require_current()
    return subject
