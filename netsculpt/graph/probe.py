"""Whether the model's own code follows when axes change.

Traced sizes are numbers; whether the code computes them, reads them from an attribute or has them written out, only
running it with other sizes shows. All axes grow at once, in fake tensors (see ``rehearsal``), each by another number
of units, so that no two sizes agree by chance.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from netsculpt.graph.analysis import Analysis
from netsculpt.graph.costs import size_with
from netsculpt.graph.graph import Graph
from netsculpt.graph.positions import contains
from netsculpt.graph.program import Inputs
from netsculpt.graph.rehearsal import Fault, Outcome, Rehearsal
from netsculpt.graph.source import source_of
from netsculpt.graph.terms import Term, leaves


class Probe:
    """Runs a model in fake tensors with other sizes, and finds which axes its code does not follow."""

    def __init__(self, model: nn.Module, inputs: Inputs, analysis: Analysis) -> None:
        self._model = model
        try:
            self._rehearsal: Rehearsal | None = Rehearsal(model, inputs, analysis)
        except Exception:  # what cannot run without values cannot be probed; applying an edit still runs the model
            self._rehearsal = None

    def run(self, graph: Graph, sizes: Mapping[Term, int]) -> Outcome:
        """A run with axes of other sizes."""
        if self._rehearsal is None or not sizes:
            return Outcome([], [], None)
        with self._resized(graph, sizes):
            return self._rehearsal.run(sizes)

    def blamed(self, graph: Graph, sizes: Mapping[Term, int], outcome: Outcome) -> dict[Term, str]:
        """Which axes the code does not follow, with the reason, when with all ``sizes`` together it has ``outcome``."""
        found: dict[Term, str] = {}
        suspects = [(fault, _suspects(fault, sizes)) for fault in outcome.faults]
        for group in apart([candidates for _, candidates in suspects]):
            alone = self.run(graph, {axis: sizes[axis] for axis in group})
            failed = {id(fault.step): fault for fault in alone.faults}
            for fault, candidates in suspects:
                culprit = next((axis for axis in candidates if axis in group), None)
                if culprit is not None and id(fault.step) in failed:
                    found.setdefault(culprit, _reason(failed[id(fault.step)]))
        for fault, candidates in suspects:
            if not any(axis in found for axis in candidates):  # only together
                found.update(dict.fromkeys(candidates, _reason(fault)))
        return found or self._halved(graph, sizes)

    def _halved(self, graph: Graph, sizes: Mapping[Term, int]) -> dict[Term, str]:
        """The axes at fault where no operation tells: by halving."""
        outcome, axes = self.run(graph, sizes), list(sizes)
        if not outcome.faults and outcome.error is None:
            return {}
        why = outcome.error or _reason(outcome.faults[0])
        if len(axes) == 1:
            return {axes[0]: why}
        halves = (axes[: len(axes) // 2], axes[len(axes) // 2 :])
        found = [self._halved(graph, {axis: sizes[axis] for axis in half}) for half in halves]
        return found[0] | found[1] or dict.fromkeys(axes, why)

    @contextmanager
    def _resized(self, graph: Graph, sizes: Mapping[Term, int]) -> Iterator[None]:
        """Tensors and attributes of the model as they would be with other sizes."""
        assert self._rehearsal is not None
        before: list[tuple[nn.Module, str, Any]] = []

        def put(path: str, value: Any) -> None:
            owner, _, name = path.rpartition(".")
            module = self._model.get_submodule(owner)
            before.append((module, name, getattr(module, name)))
            setattr(module, name, value)

        try:
            for first, dims in graph.tensors.items():
                if any(contains(term, sizes) for term in dims):
                    tensor = _get(self._model, first)
                    with self._rehearsal.mode:
                        shape = [size_with(term, sizes) for term in dims]
                        new = torch.empty(shape, dtype=tensor.dtype, device=tensor.device)
                    new = nn.Parameter(new, requires_grad=False) if isinstance(tensor, nn.Parameter) else new
                    for name in graph.aliases[first]:
                        put(name, new)
            for path, attribute, value in graph.attribute_values(sizes):
                put(f"{path}.{attribute}" if path else attribute, value)
            yield
        finally:
            for module, name, value in reversed(before):
                setattr(module, name, value)


def _get(model: nn.Module, name: str) -> Tensor:
    owner, _, attribute = name.rpartition(".")
    return getattr(model.get_submodule(owner), attribute)


def grown(graph: Graph) -> dict[Term, int]:
    """Every axis that can change with more units than it has."""
    draw = random.Random(0)  # anything that has no period, which layers have
    return {axis.term.find(): axis.size + draw.randint(1, 16) for axis in graph.sculptable}


def _suspects(fault: Fault, changed: Mapping[Term, int]) -> list[Term]:
    """The axes that an operation makes or takes."""
    terms = (*(term for dims in fault.step.outputs for term in dims), *fault.step.inputs)
    return [axis for axis in dict.fromkeys(each for term in terms for each in leaves(term)) if axis in changed]


def apart(suspects: Sequence[Sequence[Term]]) -> list[dict[Term, None]]:
    """Groups of axes in which no two are suspected of the same: each group is told apart by one run."""
    rivals: dict[Term, set[Term]] = {}
    for candidates in suspects:
        for axis in candidates:
            rivals.setdefault(axis, set()).update(candidates)
    groups: list[dict[Term, None]] = []
    for axis, others in rivals.items():
        free = next((group for group in groups if not any(other in group for other in others)), None)
        if free is None:
            groups.append(free := {})
        free[axis] = None
    return groups


def _reason(fault: Fault) -> str:
    return f"{fault.why} ({source_of(fault.step.node)})"
