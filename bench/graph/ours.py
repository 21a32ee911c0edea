"""What netsculpt takes: tracing in its parts, and a prune step of half the units of every axis."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from bench.graph.child import serve
from bench.graph.clock import least, repeated, timed
from bench.graph.models import make
from netsculpt import ops
from netsculpt.edit import Plan, apply, forget, undo, uniform_pruning
from netsculpt.graph import Axis, Graph, trace, tracing
from netsculpt.graph.positions import IndexMap

BATCH = 2  # the least for which any batch size is traced
ANALYSIS = ("Analysis", "find_attributes", "find_axes", "find_scales", "tie_merged", "_aliases", "Graph")


class Stages:
    """Process time spent inside named calls; a call inside another one counts for the outer one alone."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inside = False

    def around(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if self._inside:
                return function(*args, **kwargs)
            self._inside, start = True, time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                self._inside = False
                self.spent[stage] = self.spent.get(stage, 0.0) + time.process_time() - start

        return call


@contextmanager
def staged() -> Iterator[Stages]:
    """Tell apart in `trace` the export by torch, the probing runs and the analysis; the rest is collecting garbage."""
    stages = Stages()
    methods = {name: value for name, value in vars(tracing.Probe).items() if callable(value)}
    functions = {name: getattr(tracing, name) for name in ("export", *ANALYSIS)}
    for name, function in functions.items():
        setattr(tracing, name, stages.around("analysis" if name in ANALYSIS else name, function))
    for name, method in methods.items():
        setattr(tracing.Probe, name, stages.around("probe", method))
    try:
        yield stages
    finally:
        for name, function in functions.items():
            setattr(tracing, name, function)
        for name, method in methods.items():
            setattr(tracing.Probe, name, method)


def traced(model: nn.Module, inputs: Any) -> dict[str, float]:
    """Seconds of one `trace`, in all and by part."""
    with staged() as stages:
        total = timed(lambda: trace(model, inputs))
    return {"total": total, "export": 0.0, "probe": 0.0, "analysis": 0.0, **stages.spent}


def tracing_task(name: str, repeats: int, limit: float) -> dict[str, Any]:
    """The first trace of a process, the quickest of several, and what it found."""
    model, inputs = make(name, BATCH)
    samples = repeated(lambda: traced(model, inputs), repeats + 1, limit)
    graph = trace(model, inputs)
    calls = [node for node in graph.program.exported.graph.nodes if node.op == "call_function"]
    return {
        **least(samples),
        "first": samples[0]["total"],
        "operations": len(calls),
        "nodes": len(graph.program.exported.graph.nodes),
        "axes": len(graph),
        "sculptable": len(graph.sculptable),
        "any_batch": graph.dynamic_batch,
        "unknown": len(graph.unknown),
    }


def group_magnitude(model: nn.Module) -> Callable[[Axis], torch.Tensor]:
    """The sum of squares of all slices of each unit, of what makes, follows and uses it: what torch-pruning takes."""
    parameters = dict(model.named_parameters())
    squares: dict[tuple[str, int], torch.Tensor] = {}  # of the entries of a dimension, once for all axes on it

    def along(name: str, dim: int) -> torch.Tensor:
        if (name, dim) not in squares:
            weight = [parameters[name]]
            squares[name, dim] = ops.taylor_gain_params(weight, weight, [dim]).signed
        return squares[name, dim]

    def score(axis: Axis) -> torch.Tensor:
        places = [place for place in axis.places if place.tensor in parameters]
        total = torch.zeros(axis.size, dtype=torch.float64)
        for name, dim, entries, *_ in places:
            total += _by_unit(along(name, dim), entries, axis.size)
        return total

    return score


def _by_unit(values: torch.Tensor, entries: IndexMap, units: int) -> torch.Tensor:
    """Sums of the entries of each unit; a view where a unit has one entry."""
    if not entries.loops:
        return values.as_strided((units,), (entries.stride,), entries.offset)
    return values[entries.entries(torch.arange(units))].view(units, -1).sum(1)


def half(model: nn.Module, graph: Graph) -> Plan:
    with torch.no_grad():
        return uniform_pruning(graph, group_magnitude(model), pruning_ratio=0.5)


def step_task(name: str, repeats: int, limit: float) -> dict[str, Any]:
    """Scores, plan and surgery on all axes, and the same with the check that runs the model before and after."""
    model, inputs = make(name, BATCH)
    graph = trace(model, inputs)
    before = parameters(model)
    after: list[int] = []

    def sample() -> dict[str, float]:
        start = time.process_time()
        plan = half(model, graph)
        planned = time.process_time()
        apply(plan, model, graph=graph, check=False)
        applied = time.process_time()
        after.append(parameters(model))
        undo(model)
        checked = timed(lambda: apply(plan, model, graph=graph))
        undo(model)
        forget(model)
        return {"total": applied - start, "plan": planned - start, "apply": applied - planned, "checked": checked}

    samples = repeated(sample, repeats, limit)
    quickest = least(samples) | {"checked": min(each["checked"] for each in samples)}
    return {**quickest, "edits": len(half(model, graph).edits), "before": before, "after": after[-1]}


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    serve({"trace": tracing_task, "step": step_task})
