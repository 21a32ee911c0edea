"""Time a case and its alternatives in turns, so that what else the machine does falls on all of them alike."""

import statistics
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch.utils.benchmark import Timer

from bench.case import Case, Run
from bench.roofline import Roofline

ROUNDS = 5  # samples at least, except of what takes seconds
SAMPLE = 0.02  # seconds of one sample, so that the clock's resolution does not matter
SLOW = 2.0  # seconds of one call beyond which two samples must do


@dataclass
class Row:
    """One measured case; times in seconds, ``ratios`` how many times longer each alternative took."""

    op: str
    case: str
    target: str
    bytes: float
    flops: float
    error: str = ""  # why nothing was timed: the answer was wrong
    seconds: float = 0.0
    iqr: float = 0.0
    fraction: float = 0.0
    bound: str = ""
    alternatives: dict[str, float | None] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)  # alternative -> why it gave no time

    @property
    def ratios(self) -> dict[str, float | None]:
        return {name: None if t is None else t / self.seconds for name, t in self.alternatives.items()}

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ratios": self.ratios}


class Contender:
    """One way to do the work: warmed up, with a number of calls that makes a sample long enough to trust."""

    def __init__(self, run: Run, threads: int) -> None:
        self.timer = Timer("run()", globals={"run": run}, num_threads=threads)
        self.timer.timeit(1)  # the first call may compile, or fill caches
        once = self.timer.timeit(1).mean
        self.calls = max(1, int(SAMPLE / max(once, 1e-7)))
        self.rounds = 2 if once > SLOW else ROUNDS
        self.samples: list[float] = []

    def sample(self) -> None:
        self.samples.append(self.timer.timeit(self.calls).mean)

    def done(self, min_time: float) -> bool:
        spent = self.calls * sum(self.samples)
        return len(self.samples) >= self.rounds and spent >= min_time

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def iqr(self) -> float:
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return high - low


def one_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:160]}" if text else type(error).__name__


def measure(case: Case, roofline: Roofline, min_time: float) -> Row:
    """Check, then time; a wrong answer has no speed, and an alternative that fails only loses its column."""
    row = Row(case.op, case.name, case.target, case.bytes, case.flops)
    torch.compiler.reset()  # else the shapes of earlier cases make torch.compile generalise, which is slower
    try:
        case.check()
        ours = Contender(case.run, roofline.threads)
    except Exception as error:
        row.error = one_line(error)
        return row
    others: dict[str, Contender] = {}
    for name, run in case.alternatives.items():
        try:
            others[name] = Contender(run, roofline.threads)
        except Exception as error:
            row.alternatives[name] = None
            row.notes[name] = one_line(error)
    contenders = [ours, *others.values()]
    while waiting := [c for c in contenders if not c.done(min_time)]:
        for contender in waiting:
            contender.sample()
    row.seconds, row.iqr = ours.median, ours.iqr
    row.alternatives |= {name: contender.median for name, contender in others.items()}
    least, row.bound = roofline.bound(case.bytes, case.flops)
    row.fraction = least / row.seconds
    return row
