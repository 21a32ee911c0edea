"""How long a model runs, measured, as a linear function of the sizes of its axes."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import torch
from torch import nn

from netsculpt.errors import ArgumentError, GraphError
from netsculpt.graph import Change, Graph
from netsculpt.graph.untouched import tracing_mode
from netsculpt.graph.verify import outputs_of, rearranged

FORMAT = 1


@dataclass(frozen=True)
class LatencyTable:
    """A linear model of measured seconds: ``seconds + Σ slope · (size - size when measured)``.

    What it leaves out: that widths of neighbours multiply, and that hardware works in blocks. It is as good as the
    changes are like the measured ones; measure again after a large edit.

    Attributes:
        seconds: of one forward pass, as the model was.
        sizes: axis name -> size then, of the measured axes; others count for nothing.
        slopes: axis name -> seconds per unit, at least 0.
        device: where it was measured: "cpu", "cuda".
        threads: how many threads torch had on the CPU.
    """

    seconds: float
    sizes: Mapping[str, int]
    slopes: Mapping[str, float]
    device: str
    threads: int

    def __call__(self, sizes: Mapping[str, int]) -> float:
        """Seconds of a forward pass at these sizes; axes that are not given are as they were."""
        changes = ((self.slopes[name], sizes.get(name, size) - size) for name, size in self.sizes.items())
        return self.seconds + sum(slope * units for slope, units in changes)

    def to_json(self) -> str:
        """The table as JSON text."""
        return json.dumps({"netsculpt_latency": FORMAT, **asdict(self)})

    @classmethod
    def from_json(cls, text: str) -> LatencyTable:
        """The table that ``to_json`` wrote.

        Raises:
            ArgumentError: the text is no such table.
        """
        try:
            data = json.loads(text)
            if data.pop("netsculpt_latency") != FORMAT:
                raise ValueError(f"it must say netsculpt_latency: {FORMAT}")
            return cls(**data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArgumentError(f"a latency table must be as to_json wrote it: {error!r}") from None


def measured_latency(
    model: nn.Module,
    graph: Graph,
    axes: Iterable[str] | None = None,
    *,
    block: float = 0.25,
    repeats: int = 20,
    warmup: int = 3,
    threads: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> LatencyTable:
    """Measure a model with its example inputs, as it is and with one axis after the other changed by a block.

    Medians over ``repeats`` runs in eval mode, without gradients. The model as it is runs before and after each
    changed one, so that a machine that slows down slows both. The model is afterwards what it was.

    Args:
        model: the graph's, where and in the dtype in which it shall be measured; the inputs of ``graph`` must fit it.
        graph: of the model as it is.
        axes: names of the axes that may change; by default all that can.
        block: by which fraction of an axis it is changed, at least one unit: above 0 enlarged, below 0 and above -1
            shrunk. Like the change that is to come is best.
        repeats: runs that count, of each.
        warmup: runs before, of each.
        threads: torch's threads on the CPU meanwhile; by default what they are. Written into the table.
        clock: seconds; of a GPU, read when it has finished.

    Returns:
        The table. A slope below 0, which is noise or a wider kernel that is faster, counts as 0, and so does that of an
        axis that has nothing to lose.

    Raises:
        ArgumentError: block, repeats, warmup or threads make no sense.
        GraphError: an axis is not there or frozen.
    """
    if not block > -1 or block == 0:
        raise ArgumentError(f"block must be a fraction of an axis, above -1 and not 0, not {block!r}")
    for name, value, least in (("repeats", repeats, 1), ("warmup", warmup, 0), ("threads", threads, 1)):
        if value is not None and value < least:
            raise ArgumentError(f"{name} must be at least {least}, not {value!r}")
    measured = graph.sculptable if axes is None else tuple(graph[name] for name in axes)
    for axis in measured:
        if axis.frozen is not None:
            raise GraphError(f"the units of {axis.name!r} cannot be changed: {axis.frozen}")
    device = next((each.device for each in model.parameters()), torch.device("cpu"))
    with _threads(threads), tracing_mode(model):
        stopwatch = _Stopwatch(model, graph, device, clock, repeats, warmup)
        present, slopes = [stopwatch.seconds()], {}
        for axis in measured:
            units = _units(axis.size, block)
            # What new units compute does not matter: they are copies.
            changed = stopwatch.seconds({axis.name: Change(torch.arange(axis.size + units) % axis.size)})
            present.append(stopwatch.seconds())
            slopes[axis.name] = max(0.0, (changed - (present[-2] + present[-1]) / 2) / units) if units else 0.0
        sizes = {axis.name: axis.size for axis in measured}
        return LatencyTable(statistics.median(present), sizes, slopes, device.type, torch.get_num_threads())


def _units(size: int, block: float) -> int:
    """By how many units an axis is changed; 0 where it has but one to lose."""
    units = max(1, round(abs(block) * size))
    return units if block > 0 else -min(units, size - 1)


class _Stopwatch:
    """Runs a model and reads a clock."""

    def __init__(
        self,
        model: nn.Module,
        graph: Graph,
        device: torch.device,
        clock: Callable[[], float],
        repeats: int,
        warmup: int,
    ) -> None:
        self._model, self._graph, self._device, self._clock = model, graph, device, clock
        self._repeats, self._warmup = repeats, warmup

    def seconds(self, changes: Mapping[str, Change] | None = None) -> float:
        """Median of the model as it is, or with axes changed."""
        with rearranged(self._model, self._graph, self._graph.rearrangement(changes or {})):
            return statistics.median([self._run() for _ in range(self._warmup + self._repeats)][self._warmup :])

    def _run(self) -> float:
        self._wait()
        start = self._clock()
        outputs_of(self._model, self._graph.inputs)
        self._wait()
        return self._clock() - start

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


@contextmanager
def _threads(count: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(count or before)
        yield
    finally:
        torch.set_num_threads(before)
