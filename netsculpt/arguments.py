"""Checks of arguments that many rooms share: each refuses in one sentence what makes no sense."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeGuard

from netsculpt.errors import ArgumentError

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
