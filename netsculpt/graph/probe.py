"""Whether the model's own code follows when axes change: runs with shapes alone.

Traced sizes are numbers; whether the code computes them, reads them from an attribute or has them written out, only
running it with other sizes shows. All axes are made one unit smaller at once, in fake tensors. Where that fails, axes
that live inside one module are tried on that module alone, so that the time does not grow with the square of the depth;
the others on the whole model, and those at fault are found by halving.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

from torch import nn

from netsculpt.graph.axes import Axis
from netsculpt.graph.graph import Graph
from netsculpt.graph.program import Inputs
from netsculpt.graph.rehearsal import Rehearsal, Run, Visit
from netsculpt.graph.terms import Term, leaves

# What is wrong when these axes are one unit smaller; None where nothing is.
Trial: TypeAlias = Callable[[Sequence[Axis]], str | None]


class Probe:
    """Runs a model in fake tensors with other sizes."""

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        self._last: tuple[Graph, frozenset[str], Run | str] | None = None
        try:
            self._rehearsal = Rehearsal(model, inputs)
            self._expected: Run | None = self._rehearsal.run()
        except Exception:  # what cannot run without values cannot be probed; applying an edit still runs the model
            self._expected = None

    def at_fault(self, graph: Graph, axes: Sequence[Axis]) -> dict[str, str]:
        """Names of axes whose change the code does not follow, each with the reason.

        Those inside modules come first: while there are any, others are not looked for.
        """
        axes = [axis for axis in axes if axis.size > 1]
        if self._expected is None or not axes or self._whole(graph, axes) is None:
            return {}
        return self._inside(graph, axes) or _halve(partial(self._whole, graph), axes)

    def factors(self) -> list[float]:
        """The numbers that the model as it is multiplies and divides by, in order."""
        return self._expected.factors if self._expected is not None else []

    def factors_that_change(self, graph: Graph, axes: Sequence[Axis]) -> dict[str, set[int]]:
        """Which of ``factors`` follow the size of which axes: name -> positions; axes without any are left out."""
        axes = [axis for axis in axes if axis.size > 1]
        if not axes or not self.factors():
            return {}
        changed = self.changed_together(graph, axes)
        if not changed:
            return {}
        if len(axes) == 1:
            return {axes[0].name: changed}
        middle = len(axes) // 2
        return self.factors_that_change(graph, axes[:middle]) | self.factors_that_change(graph, axes[middle:])

    def changed_together(self, graph: Graph, axes: Sequence[Axis]) -> set[int]:
        """Positions of the factors that change when all of ``axes`` do."""
        before = self.factors()
        if not before:
            return set()
        outcome = self._smaller(graph, [axis for axis in axes if axis.size > 1])
        if isinstance(outcome, str) or len(outcome.factors) != len(before):
            return set(range(len(before)))
        return {k for k, (old, new) in enumerate(zip(before, outcome.factors, strict=True)) if old != new}

    def _smaller(self, graph: Graph, axes: Sequence[Axis]) -> Run | str:
        """A run with every axis one unit smaller, or why there is none."""
        names = frozenset(axis.name for axis in axes)
        if self._last is None or self._last[0] is not graph or self._last[1] != names:
            try:
                outcome: Run | str = self._rehearsal.run(graph, _one_less(axes))
            except Exception as error:
                outcome = _sentence(error)
            self._last = (graph, names, outcome)
        return self._last[2]

    def _whole(self, graph: Graph, axes: Sequence[Axis]) -> str | None:
        outcome = self._smaller(graph, axes)
        if isinstance(outcome, str):
            return outcome
        assert self._expected is not None
        return None if outcome.shapes == self._expected.shapes else f"outputs become {outcome.shapes}"

    def _inside(self, graph: Graph, axes: Sequence[Axis]) -> dict[str, str]:
        """Axes at fault among those whose places all lie in one module, found by running that module alone.

        From the innermost modules outwards: around a module with a fault nothing is tried, it would only show again.
        """
        paths = _homes(graph, axes)
        visits = self._rehearsal.record({around for path in paths.values() for around in _around(path)})
        homes: dict[str, list[Axis]] = {}
        for axis in axes:
            homes.setdefault(_called(paths[axis.name], visits), []).append(axis)
        faults: dict[str, str] = {}
        spoiled = {""}
        for path in sorted(homes, key=lambda path: path.count("."), reverse=True):
            if path not in spoiled:
                found = self._inside_one(path, visits[path], graph, homes[path])
                spoiled.update(_around(path) if found else ())
                faults |= found
        return faults

    def _inside_one(self, path: str, visits: Sequence[Visit], graph: Graph, axes: Sequence[Axis]) -> dict[str, str]:
        """Those of ``axes`` for which a module raises; none where it does not even repeat what it did as it is."""
        trial = partial(self._raises, path, visits, graph)
        if trial(axes) is None or any(self._raises(path, [visit], graph, ()) for visit in visits):
            return {}
        return _halve(trial, axes)

    def _raises(self, path: str, visits: Sequence[Visit], graph: Graph, axes: Sequence[Axis]) -> str | None:
        """What a module raises with smaller axes, given what it was given; without any, also that it answers otherwise.

        Other shapes than before are no fault in themselves: their dimensions may have become smaller outside as well.
        """
        for visit in visits:
            try:
                shapes = self._rehearsal.repeat(path, visit.inputs, graph, _one_less(axes)).shapes
            except Exception as error:
                return _sentence(error)
            if not axes and shapes != visit.shapes:
                return "what it was given has changed meanwhile"
        return None


def _halve(trial: Trial, axes: Sequence[Axis]) -> dict[str, str]:
    """The axes that fail alone, each with the reason; as many trials as they need, by halving."""
    why = trial(axes)
    if why is None:
        return {}
    if len(axes) == 1:
        return {axes[0].name: why}
    middle = len(axes) // 2
    return _halve(trial, axes[:middle]) | _halve(trial, axes[middle:])


def _one_less(axes: Sequence[Axis]) -> dict[Term, int]:
    return {axis.term.find(): axis.size - 1 for axis in axes}


def _sentence(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _homes(graph: Graph, axes: Sequence[Axis]) -> dict[str, str]:
    """Axis -> the innermost module that holds all tensors with its units and all attributes that state its size."""
    stating: dict[Term, list[str]] = {}
    for each in graph.attributes:
        for axis in {axis for term in each.terms for axis in leaves(term)}:
            stating.setdefault(axis, []).append(each.module)
    homes = {}
    for each_axis in axes:
        owners = [name.rpartition(".")[0] for place in each_axis.places for name in graph.aliases[place.tensor]]
        homes[each_axis.name] = _common([*owners, *stating.get(each_axis.term.find(), ())])
    return homes


def _common(paths: Sequence[str]) -> str:
    split = [path.split(".") if path else [] for path in (min(paths), max(paths))]
    shared = 0
    for a, b in zip(*split, strict=False):
        if a != b:
            break
        shared += 1
    return ".".join(split[0][:shared])


def _around(path: str) -> Iterator[str]:
    """The module at ``path`` and those around it, without the whole model."""
    while path:
        yield path
        path = path.rpartition(".")[0]


def _called(path: str, visits: dict[str, list[Visit]]) -> str:
    """The module at ``path``, or the next one around it that is called; the whole model is ''."""
    return next((around for around in _around(path) if around in visits), "")
