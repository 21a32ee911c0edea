"""Candidates for new units as growing is asked for them, refused where they make no sense."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netsculpt.arguments import is_count, is_number
from netsculpt.errors import ArgumentError
from netsculpt.graph import Graph


def counts(graph: Graph, names: Sequence[str], new_units: object) -> dict[str, int]:
    """Candidates for new units, axis by axis.

    Args:
        graph: of the model.
        names: of the axes that may get wider.
        new_units: a share of an axis's size, or numbers by axis name.

    Raises:
        ArgumentError: it is neither, or names an axis that may not get wider.
        GraphError: it names an axis that is not there.
    """
    if not isinstance(new_units, Mapping):
        if not is_number(new_units) or new_units <= 0:
            raise ArgumentError(f"new_units must be a share above 0, or numbers by axis name, not {new_units!r}")
        return {name: max(1, round(new_units * graph[name].size)) for name in names}
    for name in graph.names(new_units):
        if name not in names:
            raise ArgumentError(f"new_units names {name!r}, which is not among axes")
        if not is_count(new_units[name], 0):
            raise ArgumentError(f"new_units of {name!r} must be a whole number, at least 0, not {new_units[name]!r}")
    return {name: count for name, count in new_units.items() if count}
