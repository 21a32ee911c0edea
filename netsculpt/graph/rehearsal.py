"""Runs of a model with other sizes, in shapes alone, held against what the analysis expects of every operation.

The operations of a run are seen as torch.export sees them, before composite ones are taken apart, and matched with the
traced ones. Where one fails or gives another shape than expected, the expected one takes its place and the run goes on:
one run finds everything in the code that does not follow.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
import torch._dispatch.python
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch._subclasses.schema_check_mode import SchemaCheckMode
from torch.utils import _pytree as pytree

from netsculpt.graph.analysis import Analysis, Step
from netsculpt.graph.costs import size_with
from netsculpt.graph.program import Inputs
from netsculpt.graph.stand_ins import StandIns
from netsculpt.graph.terms import Term
from netsculpt.graph.untouched import tracing_mode

Shapes = tuple[tuple[int, ...], ...]
VALUED = frozenset({"full", "full_like", "new_full", "fill", "fill_", "scalar_tensor", "masked_fill", "masked_fill_"})

# How many operations of a run and of the program are left out where they part, the fewest first.
SKIPS = [(total - theirs, theirs) for total in range(1, 80) for theirs in range(total, -1, -1)]


class Operation(NamedTuple):
    """One operation of a run: its name, the shapes of its outputs, and the numbers that it computes with."""

    name: str
    shapes: Shapes
    numbers: tuple[float, ...]


class Fault(NamedTuple):
    """An operation that does not follow when sizes change: what it did instead, and the sizes that the code gave it."""

    step: Step
    why: str
    asked: tuple[int, ...]


class Number(NamedTuple):
    """A number that an operation computes with, and that follows sizes.

    Attributes:
        place: which number of which operation of the run.
        step: the operation; None where it is not known.
        before: its value.
        after: its value with the other sizes.
    """

    place: tuple[int, int]
    step: Step | None
    before: float
    after: float


class Outcome(NamedTuple):
    """What a run with other sizes showed.

    Attributes:
        faults: operations that do not follow, in order.
        numbers: numbers that are others than before.
        error: why the run ended early, or what else is wrong; None where it came to its end.
    """

    faults: list[Fault]
    numbers: list[Number]
    error: str | None


class Astray(Exception):
    """The run does something else than the one with the sizes as they are."""


class Rehearsal:
    """A model and how it runs as it is, to run it with other sizes."""

    def __init__(self, model: nn.Module, inputs: Inputs, analysis: Analysis) -> None:
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._model = model
        self._stand_ins = StandIns(model, self.mode)
        self._inputs = Inputs(*pytree.tree_map(self._fake, tuple(inputs)))
        watch = _Watch()
        self._outputs = self._run(watch)
        self.operations = watch.operations
        self._steps = _matched(self.operations, analysis.steps)

    def run(self, sizes: Mapping[Term, int]) -> Outcome:
        """Run the model as it is now, which has ``sizes``, and compare with what they let expect."""
        watch = _Compare(self.operations, self._steps, sizes)
        error = None
        try:
            outputs = self._run(watch)
            if outputs != self._outputs:
                error = f"outputs become {_shown(outputs)} instead of {_shown(self._outputs)}"
        except Exception as reason:
            error = first_line(reason)
        return Outcome(watch.faults, watch.numbers, error)

    def _run(self, watch: _Watch) -> Shapes:
        whole = torch._dispatch.python.enable_python_dispatcher()
        with tracing_mode(self._model), quiet(), self._stand_ins(), torch.no_grad(), self.mode, whole, watch:
            answer = self._model(*self._inputs.args, **self._inputs.kwargs)
        return _shapes(answer)

    def _fake(self, leaf: Any) -> Any:
        return self.mode.from_tensor(leaf) if isinstance(leaf, Tensor) else leaf


class _Watch(SchemaCheckMode):  # the only kind of mode that torch lets see composite operations whole
    """Writes down the operations of a run."""

    def __init__(self) -> None:
        super().__init__()
        self._dispatch_key = torch._C.DispatchKey.PreDispatch
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = _done(func, args, kwargs)
        shapes = _shapes(result)
        if shapes:
            self.operations.append(Operation(str(func), shapes, _numbers(func, args, kwargs)))
        return result


class _Compare(_Watch):
    """Compares the operations of a run with those of the first one, and with the steps of the analysis."""

    def __init__(self, expected: Sequence[Operation], steps: Sequence[Step | None], sizes: Mapping[Term, int]) -> None:
        super().__init__()
        self._expected = expected
        self._steps = steps
        self._sizes = sizes
        self._at = 0
        self.faults: list[Fault] = []
        self.numbers: list[Number] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        try:
            result = _done(func, args, kwargs)
        except Exception as error:
            step = self._next(func, args, kwargs)
            if step is None:
                raise
            return self._instead(step, first_line(error), args)
        shapes = _shapes(result)
        if not shapes:
            return result
        step = self._next(func, args, kwargs)
        if step is None or shapes == self._wanted(step):
            return result
        return self._instead(step, f"it gives {_shown(shapes)} instead of {_shown(self._wanted(step))}", args)

    def _next(self, func: Any, args: Any, kwargs: Any) -> Step | None:
        if self._at >= len(self._expected) or self._expected[self._at].name != str(func):
            raise Astray("the code takes another path when its size changes")
        at, self._at = self._at, self._at + 1
        pairs = zip(self._expected[at].numbers, _numbers(func, args, kwargs), strict=False)
        self.numbers.extend(Number((at, k), self._steps[at], a, b) for k, (a, b) in enumerate(pairs) if a != b)
        return self._steps[at]

    def _wanted(self, step: Step) -> Shapes:
        return tuple(tuple(size_with(term, self._sizes) for term in dims) for dims in step.outputs)

    def _instead(self, step: Step, why: str, args: Any) -> Any:
        asked = tuple(item for item in pytree.tree_leaves(args) if isinstance(item, int))
        self.faults.append(Fault(step, why, asked))
        value = step.node.meta["val"]
        several = isinstance(value, (list, tuple))
        like = [item for item in (value if several else (value,)) if isinstance(item, Tensor)]
        made = [
            torch.empty(shape, dtype=item.dtype, device=item.device)
            for shape, item in zip(self._wanted(step), like, strict=True)
        ]
        return type(value)(made) if several else made[0]


def _done(func: Any, args: Any, kwargs: Any) -> Any:
    with torch._dispatch.python.no_python_dispatcher():  # needed to see the operation, slow in taking it apart
        return func(*args, **(kwargs or {}))


def first_line(error: Exception) -> str:
    """What an error says, without what torch adds below."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the log of fake tensors, which has every operation that fails: here that is an answer."""
    log = logging.getLogger("torch._subclasses.fake_tensor")
    level, log.level = log.level, logging.CRITICAL + 1
    try:
        yield
    finally:
        log.level = level


def _matched(operations: Sequence[Operation], steps: Sequence[Step]) -> list[Step | None]:
    """The step of each operation, by name and shapes, in order: export adds masks, and slices that do nothing."""
    ours = [(operation.name, operation.shapes) for operation in operations]
    theirs = [(str(step.node.target), tuple(tuple(t.size for t in dims) for dims in step.outputs)) for step in steps]
    found: list[Step | None] = [None] * len(ours)
    at, there = 0, 0
    while at < len(ours) and there < len(theirs):
        if ours[at] == theirs[there]:
            found[at] = steps[there]
            at, there = at + 1, there + 1
            continue
        skip = next((pair for pair in SKIPS if _meet(ours, at + pair[0], theirs, there + pair[1])), None)
        if skip is None:
            break
        at, there = at + skip[0], there + skip[1]
    return found


def _meet(ours: Sequence[object], at: int, theirs: Sequence[object], there: int) -> bool:
    """Whether two operations follow that are the same."""
    mine = ours[at : at + 2]
    return bool(mine) and mine == theirs[there : there + 2]


def _numbers(func: Any, args: Any, kwargs: Any) -> tuple[float, ...]:
    """What an operation computes with: all its floats, and integers where they are not sizes or dimensions."""
    name = func._schema.name.split("::")[-1]
    whole = torch.Tag.pointwise in func.tags or name in VALUED
    found = []
    for argument in (*args, *(kwargs or {}).values()):
        single = whole and not isinstance(argument, (list, tuple))  # integers in a list are a shape
        for item in pytree.tree_leaves(argument):
            if isinstance(item, Tensor):
                item = _constant(item)
            if isinstance(item, float) or (single and isinstance(item, int) and not isinstance(item, bool)):
                found.append(float(item))
    return tuple(found)


def _constant(tensor: Tensor) -> float | None:
    """The value of a number that was made a tensor: fake tensors remember it."""
    known = getattr(tensor, "constant", None)
    return float(known) if known is not None and known.numel() == 1 and not known.is_complex() else None


def _shapes(result: Any) -> Shapes:
    return tuple(tuple(leaf.shape) for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor))


def _shown(shapes: Shapes) -> str:
    return " and ".join(str(list(shape)) for shape in shapes)
