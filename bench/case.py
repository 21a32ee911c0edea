"""What a benchmark file gives for each case: what to run, what to compare with, and what it costs at least."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Run = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """One row of the table.

    ``bytes`` is the compulsory traffic and ``flops`` the operations that the op cannot avoid; the runner turns them
    into a fraction of the measured roofline. ``check`` raises where the op's answer is wrong: it is called before
    anything is timed. ``alternatives`` are timed in the same run, interleaved with the op.
    """

    op: str
    name: str
    run: Run
    check: Run
    bytes: float
    flops: float
    alternatives: dict[str, Run] = field(default_factory=dict)
    target: str = ""  # what the op is meant to reach, in words, shown beside the measured ratio
