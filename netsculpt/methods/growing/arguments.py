"""What growing is asked for, refused where it makes no sense."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeGuard

from netsculpt.errors import ArgumentError
from netsculpt.graph import Graph

LARGEST_SEED = 2**31


def is_count(value: object, least: int = 1) -> TypeGuard[int]:
    """Whether it is a whole number, at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def require_one_of(name: str, value: object, known: Sequence[str]) -> None:
    """Refuse an option that is not known.

    Raises:
        ArgumentError: it is none.
    """
    if value not in known:
        raise ArgumentError(f"{name} must be one of {', '.join(known)}, not {value!r}")


def require_some_of(name: str, values: object, known: Sequence[str]) -> None:
    """Refuse what is not one or several options.

    Raises:
        ArgumentError: it is not.
    """
    several = isinstance(values, Iterable) and not isinstance(values, str)
    if not several or not list(values) or any(each not in known for each in values):  # type: ignore[call-overload, attr-defined]
        raise ArgumentError(f"{name} must be one or several of {', '.join(known)}, not {values!r}")


def require_count(name: str, value: object) -> None:
    """Refuse what is no whole number above 0.

    Raises:
        ArgumentError: it is none.
    """
    if not is_count(value):
        raise ArgumentError(f"{name} must be a whole number above 0, not {value!r}")


def require_share(name: str, value: object) -> None:
    """Refuse what is no share of a whole, 0 included and the whole not.

    Raises:
        ArgumentError: it is none.
    """
    if not is_number(value) or not 0 <= value < 1:
        raise ArgumentError(f"{name} must be a share in [0, 1), not {value!r}")


def require_seed(seed: object) -> None:
    """Refuse what no generator can be seeded with.

    Raises:
        ArgumentError: it is no whole number, or too large.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or abs(seed) >= LARGEST_SEED:
        raise ArgumentError(f"seed must be a whole number below 2**31, not {seed!r}")


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
