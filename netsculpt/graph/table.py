"""A graph as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netsculpt.graph.axes import Axis, Place, layer_of

if TYPE_CHECKING:
    from netsculpt.graph.graph import Graph

LONG = 34  # characters of a list of layers before it is cut


def table(graph: Graph) -> str:
    """One line per axis: units, producers → consumers, shares of parameters and MACs, what is allowed."""
    params, macs = graph.cost()
    header = ("axis", "units", "made by → used by", "params", "MACs", "state")
    rows = []
    for axis in graph.axes:
        whole = zip(graph.cost_on(axis.name), (params, macs), strict=True)
        shares = ["", ""] if axis.frozen else [f"{100 * part / max(total, 1):.1f} %" for part, total in whole]
        rows.append(
            (axis.name, str(axis.size), f"{_layers(axis.producers)} → {_layers(axis.consumers)}", *shares, state(axis))
        )
    lines = [*_padded([header, *rows]), ""]
    per = "per example" if graph.dynamic_batch else "for the traced batch"
    lines.append(
        f"{params:,} parameters, {macs:,} multiply-accumulates {per}; "
        f"{len(graph.sculptable)} of {len(graph.axes)} axes can change, "
        f"{100 * sculptable_share(graph):.1f} % of the parameters lie on them"
    )
    lines.extend(graph.unknown)
    return "\n".join(lines)


def state(axis: Axis) -> str:
    """What may be done with an axis, in words."""
    if axis.frozen is not None:
        return f"frozen: {axis.frozen}"
    if axis.inexact is not None:
        return f"inexact: {axis.inexact}"
    return "exact" if axis.uncopyable is None else f"exact but for copies: {axis.uncopyable}"


def sculptable_share(graph: Graph) -> float:
    """The share of the parameters that lie on at least one axis that can change."""
    on_axes = {place.tensor for axis in graph.sculptable for place in axis.places}
    sizes = {name: graph.tensor_size(name) for name in graph.parameters}
    return sum(size for name, size in sizes.items() if name in on_axes) / max(sum(sizes.values()), 1)


def _layers(places: Sequence[Place]) -> str:
    names = list(dict.fromkeys(layer_of(place.tensor) for place in places))
    text = ", ".join(names)
    if len(text) <= LONG or len(names) <= 1:
        return text or "-"
    return f"{names[0]} and {len(names) - 1} more"


def _padded(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]) - 1)]
    right = {1, 3, 4}
    return [
        "  ".join(
            [
                *(
                    f"{cell:>{w}}" if k in right else f"{cell:<{w}}"
                    for k, (cell, w) in enumerate(zip(row[:-1], widths, strict=True))
                ),
                row[-1],
            ]
        ).rstrip()
        for row in rows
    ]
