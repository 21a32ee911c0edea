"""Process time: what one thread spent, whatever else the machine was doing."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class TimeLimit(BaseException):
    """A run spent more than it may; no `except Exception` on the way swallows it."""


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TimeLimit inside the block once it has spent that much process time."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeLimit

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def timed(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def repeated(sample: Callable[[], dict[str, float]], repeats: int, limit: float) -> list[dict[str, float]]:
    """Several samples, fewer where they take long: no new one after `limit` seconds. The limit also holds for each."""
    samples: list[dict[str, float]] = []
    start = time.process_time()
    while len(samples) < repeats and (not samples or time.process_time() - start < limit):
        with limited(limit):
            samples.append(sample())
    return samples


def least(samples: list[dict[str, float]]) -> dict[str, float]:
    """The sample of the quickest run, so that its parts add up; "total" is what is compared."""
    return min(samples, key=lambda sample: sample["total"])
