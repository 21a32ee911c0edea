"""What is found out about calibration data when it is first asked for, and kept as long as the statistics."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

from netsculpt.measure.statistics import Statistics

T = TypeVar("T")


def once(compute: Callable[[Statistics], T]) -> Callable[[Statistics], T]:
    """A function of statistics that is computed once for each, and refuses those of a model that has changed since."""
    known: WeakKeyDictionary[Statistics, T] = WeakKeyDictionary()

    @wraps(compute)
    def found(stats: Statistics) -> T:
        stats.require_current()
        if stats not in known:
            known[stats] = compute(stats)
        return known[stats]

    return found
