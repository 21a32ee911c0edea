"""A graph as data, for other tools: what JSON can hold, and nothing that only this package could read."""

from typing import Any

import torch

from netsculpt.graph import Axis, Graph, Place


def axes_data(graph: Graph) -> dict[str, Any]:
    """The axes of a graph as numbers, strings, lists and dicts.

    Unit ``u`` of an axis has, in dimension ``dim`` of ``tensor``, the entries ``offset + u * stride + Σ k * step`` for
    every ``k`` from 0 below ``count``, over all pairs [count, step] of ``loops``.

    Returns:
        ``torch`` and totals; ``axes`` in program order, each with name, size, places, what may be done with it and the
        cost per unit (None where it is frozen); ``tied``, tensors that the model holds under several names by the one
        that is used here; ``unknown``, operations without a rule.
    """
    params, macs = graph.cost()
    return {
        "torch": torch.__version__,
        "parameters": params,
        "macs": macs,
        "dynamic_batch": graph.dynamic_batch,
        "unknown": list(graph.unknown),
        "tied": {first: list(names) for first, names in graph.aliases.items() if len(names) > 1},
        "axes": [_axis(graph, axis) for axis in graph.axes],
    }


def _axis(graph: Graph, axis: Axis) -> dict[str, Any]:
    return {
        "name": axis.name,
        "size": axis.size,
        "frozen": axis.frozen,
        "inexact": axis.inexact,
        "uncopyable": axis.uncopyable,
        "nonlinearity": axis.nonlinearity[0] if axis.nonlinearity else None,
        "cost_per_unit": graph.cost_per_unit(axis.name)._asdict() if axis.frozen is None else None,
        "attributes": [{"module": module, "attribute": attribute} for module, attribute in axis.attributes],
        "places": [_place(place) for place in axis.places],
    }


def _place(place: Place) -> dict[str, Any]:
    return {
        "tensor": place.tensor,
        "dim": place.dim,
        "role": place.role.value,
        "offset": place.entries.offset,
        "stride": place.entries.stride,
        "loops": [list(loop) for loop in place.entries.loops],
    }
