"""The demo job: every trial, then the report."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from netsculpt.demo import figure, report
from netsculpt.demo.data import load_digits
from netsculpt.demo.optional import require
from netsculpt.demo.records import Settings, Trial
from netsculpt.demo.story import Story
from netsculpt.errors import NetsculptError

QUICK = Settings(epochs=(3, 2, 3), tuning_epochs=1, trials=1)


class OutputError(NetsculptError, OSError):
    """The report cannot be written where it was asked for."""


def run(out: Path, settings: Settings, seed: int = 0) -> list[Trial]:
    """Run the demo and write its report, figure and numbers into ``out``, which is made where it is missing.

    Raises:
        MissingDependency: scikit-learn, matplotlib or tqdm is not installed.
        OutputError: ``out`` cannot be written.
    """
    begin = time.perf_counter()
    # Anything that could stop the end of the job is found out before its beginning.
    require("matplotlib")
    _make(out)
    data = load_digits()
    with _one_thread(), _bar(epochs_in(settings) * settings.trials) as tick:
        trials = [Story(settings, data, seed + i, tick).run() for i in range(settings.trials)]
    figure.draw(trials, out / report.FIGURE)
    report.write(trials, settings, data, out, time.perf_counter() - begin)
    return trials


def epochs_in(settings: Settings) -> int:
    """Epochs of one trial, over all its networks."""
    first, *later = settings.epochs
    controls = 2 * sum(later) + 2 * sum(settings.epochs) + settings.tuning_epochs
    firefly = sum(later) + settings.tuning_epochs
    return first + sum(later) + 3 * settings.tuning_epochs + firefly + controls


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / report.PAGE).touch()
    except OSError as error:
        raise OutputError(f"the report cannot be written to {out}: {error.strerror or error}") from error


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Tensors as small as these are slower on two threads than on one, and sums on one thread repeat to the bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _bar(epochs: int) -> Iterator[Callable[[str], None]]:
    """A progress bar over all epochs; silent where the output is no terminal."""
    with require("tqdm").tqdm(total=epochs, unit="epoch", disable=None, leave=False) as bar:

        def tick(network: str) -> None:
            bar.set_description_str(f"{network:<28}", refresh=False)
            bar.update()

        yield tick
