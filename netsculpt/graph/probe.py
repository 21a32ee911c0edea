"""Whether the model's own code follows when axes change: a run with shapes alone.

Traced sizes are numbers; whether the code computes them, reads them from an attribute or has them written out, only
running it with other sizes shows. All axes are made one unit smaller at once, in fake tensors; where that fails, the
axes at fault are found by halving.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from netsculpt.graph.axes import Axis
from netsculpt.graph.costs import size_with
from netsculpt.graph.graph import Graph
from netsculpt.graph.positions import contains
from netsculpt.graph.program import Inputs, tracing_mode
from netsculpt.graph.terms import Term


class Run(NamedTuple):
    """What a run showed: the shapes of the outputs, and the numbers that tensors were multiplied and divided by."""

    shapes: list[tuple[int, ...]]
    factors: list[float]


class _Factors(TorchFunctionMode):
    """Keeps the Python numbers of all products and quotients, in order."""

    NAMES = frozenset(
        {"mul", "div", "multiply", "divide", "true_divide", "__mul__", "__truediv__", "__rmul__", "__imul__"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.found: list[float] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (
            getattr(function, "__name__", "").rstrip("_") in self.NAMES
            or getattr(function, "__name__", "") in self.NAMES
        ):
            self.found.extend(float(arg) for arg in args if isinstance(arg, (int, float)) and not isinstance(arg, bool))
        return function(*args, **(kwargs or {}))


class Probe:
    """Runs a model in fake tensors with other sizes."""

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        self._model = model
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._inputs = Inputs(*pytree.tree_map(self._fake, tuple(inputs)))
        try:
            self._expected: Run | None = self._run()
        except Exception:  # what cannot run without values cannot be probed; applying an edit still runs the model
            self._expected = None

    def at_fault(self, graph: Graph, axes: Sequence[Axis]) -> dict[str, str]:
        """Names of the axes whose change the code does not follow, each with the reason."""
        axes = [axis for axis in axes if axis.size > 1]
        if self._expected is None or not axes:
            return {}
        outcome = self._smaller(graph, axes)
        if isinstance(outcome, Run) and outcome.shapes == self._expected.shapes:
            return {}
        if len(axes) == 1:
            why = outcome if isinstance(outcome, str) else f"outputs become {outcome.shapes}"
            return {axes[0].name: why}
        middle = len(axes) // 2
        return self.at_fault(graph, axes[:middle]) | self.at_fault(graph, axes[middle:])

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
        outcome = self._smaller(graph, [axis for axis in axes if axis.size > 1])
        before = self.factors()
        if isinstance(outcome, str) or len(outcome.factors) != len(before):
            return set(range(len(before)))
        return {k for k, (old, new) in enumerate(zip(before, outcome.factors, strict=True)) if old != new}

    def _smaller(self, graph: Graph, axes: Sequence[Axis]) -> Run | str:
        """A run with every axis one unit smaller, or why there is none."""
        try:
            with self._resized(graph, {axis.term.find(): axis.size - 1 for axis in axes}):
                return self._run()
        except Exception as error:
            return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

    def _run(self) -> Run:
        numbers = _Factors()
        log = logging.getLogger("torch._subclasses.fake_tensor")  # it writes every failed run to stderr, here an answer
        level, log.level = log.level, logging.CRITICAL + 1
        try:
            with tracing_mode(self._model), self._mode, torch.no_grad(), numbers:
                answer = self._model(*self._inputs.args, **self._inputs.kwargs)
        finally:
            log.level = level
        return Run(
            [tuple(leaf.shape) for leaf in pytree.tree_leaves(answer) if isinstance(leaf, Tensor)], numbers.found
        )

    def _fake(self, leaf: Any) -> Any:
        return self._mode.from_tensor(leaf) if isinstance(leaf, Tensor) else leaf

    @contextmanager
    def _resized(self, graph: Graph, sizes: dict[Term, int]) -> Iterator[None]:
        """Tensors and attributes of the model as they would be with other sizes."""
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
                    with self._mode:
                        new = torch.empty(
                            [size_with(term, sizes) for term in dims], dtype=tensor.dtype, device=tensor.device
                        )
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
