"""A model run on shapes alone: its tensors and inputs are stood in for by fake ones, of the same or of other sizes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from netsculpt.graph.costs import size_with
from netsculpt.graph.graph import Graph
from netsculpt.graph.positions import contains
from netsculpt.graph.program import Inputs, tracing_mode
from netsculpt.graph.terms import Term

Shapes: TypeAlias = list[tuple[int, ...]]
PLAIN = (Tensor, nn.Parameter)  # what a fake tensor can stand in for


class Run(NamedTuple):
    """What a run showed: the shapes of the outputs, and the numbers that tensors were multiplied and divided by."""

    shapes: Shapes
    factors: list[float]


class Visit(NamedTuple):
    """One call of a module inside a run: what it was given, and the shapes of what it answered."""

    inputs: Inputs
    shapes: Shapes


class _Factors(TorchFunctionMode):
    """Keeps the Python numbers of all products and quotients, in order."""

    NAMES = frozenset(
        {"mul", "div", "multiply", "divide", "true_divide", "__mul__", "__truediv__", "__rmul__", "__imul__"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.found: list[float] = []

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", "")
        if name.rstrip("_") in self.NAMES or name in self.NAMES:
            self.found.extend(float(arg) for arg in args if isinstance(arg, (int, float)) and not isinstance(arg, bool))
        return function(*args, **(kwargs or {}))


class Rehearsal:
    """Runs a model, or modules of it, on shapes alone. The model is as it was between runs."""

    def __init__(self, model: nn.Module, inputs: Inputs) -> None:
        self._model = model
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._inputs = Inputs(*pytree.tree_map(self._fake, tuple(inputs)))
        self._tensors = self._stand_ins()

    def run(self, graph: Graph | None = None, sizes: Mapping[Term, int] | None = None) -> Run:
        """The whole model, with axes of other sizes where some are given; raises whatever the model raises."""
        with self._resized(graph, sizes or {}):
            return self._run(self._model, self._inputs)

    def repeat(
        self, path: str, inputs: Inputs, graph: Graph | None = None, sizes: Mapping[Term, int] | None = None
    ) -> Run:
        """One module alone, given what it was given in a recorded visit."""
        with self._resized(graph, sizes or {}):
            return self._run(self._model.get_submodule(path), inputs)

    def record(self, paths: Iterable[str]) -> dict[str, list[Visit]]:
        """Every call of the modules at ``paths`` while the model runs as it is; without those that are never called."""
        visits: dict[str, list[Visit]] = {}
        handles = []

        def keep(path: str) -> None:
            given: list[Inputs] = []

            def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
                given.append(Inputs(args, kwargs))

            def after(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], answer: Any) -> None:
                visits.setdefault(path, []).append(Visit(given.pop(), _shapes(answer)))

            module = self._model.get_submodule(path)
            handles.append(module.register_forward_pre_hook(before, prepend=True, with_kwargs=True))
            handles.append(module.register_forward_hook(after, with_kwargs=True))

        try:
            for path in paths:
                keep(path)
            self.run()
        finally:
            for handle in handles:
                handle.remove()
        return visits

    def _run(self, module: nn.Module, inputs: Inputs) -> Run:
        numbers = _Factors()
        log = logging.getLogger("torch._subclasses.fake_tensor")  # it writes every failed run to stderr, here an answer
        level, log.level = log.level, logging.CRITICAL + 1
        try:
            with tracing_mode(self._model), self._mode, torch.no_grad(), numbers:
                answer = module(*inputs.args, **inputs.kwargs)
        finally:
            log.level = level
        return Run(_shapes(answer), numbers.found)

    def _fake(self, leaf: Any) -> Any:
        return self._mode.from_tensor(leaf) if isinstance(leaf, Tensor) else leaf

    def _stand_ins(self) -> list[tuple[dict[str, Any], str, Tensor]]:
        """(the dict of a module that holds it, its key there, fake tensor) of the parameters and buffers.

        torch makes a fake tensor of each real one that it meets, but takes longer for it than for the whole run.
        """
        made: dict[int, Tensor] = {}
        found: list[tuple[dict[str, Any], str, Tensor]] = []
        for module in self._model.modules():
            if type(module).__setattr__ is not nn.Module.__setattr__:
                continue  # it keeps its tensors in other places too, as torch's LSTM does
            for store in (module._parameters, module._buffers):
                for key, tensor in store.items():
                    if tensor is not None and type(tensor) in PLAIN and tensor.layout is torch.strided:
                        if id(tensor) not in made:
                            with self._mode:
                                made[id(tensor)] = _like(tensor, tensor.size(), tensor.stride())
                        found.append((store, key, made[id(tensor)]))
        return found

    @contextmanager
    def _resized(self, graph: Graph | None, sizes: Mapping[Term, int]) -> Iterator[None]:
        """Fake tensors in the model, and attributes, as they would be with other sizes."""
        before: list[tuple[nn.Module, str, Any]] = []
        real: list[tuple[dict[str, Any], str, Tensor]] = []
        try:
            for path, value in self._changes(graph, sizes) if graph is not None and sizes else ():
                owner, _, name = path.rpartition(".")
                module = self._model.get_submodule(owner)
                before.append((module, name, getattr(module, name)))
                setattr(module, name, value)
            changed = {(id(module._parameters), name) for module, name, _ in before}
            changed |= {(id(module._buffers), name) for module, name, _ in before}
            for store, key, fake in self._tensors:
                if (id(store), key) not in changed:
                    real.append((store, key, store[key]))
                    store[key] = fake
            yield
        finally:
            for store, key, tensor in real:
                store[key] = tensor
            for module, name, value in reversed(before):
                setattr(module, name, value)

    def _changes(self, graph: Graph, sizes: Mapping[Term, int]) -> Iterator[tuple[str, Any]]:
        """(path, value) of the tensors and attributes that are others with other sizes."""
        for first, dims in graph.tensors.items():
            if any(contains(term, sizes) for term in dims):
                owner, _, attribute = first.rpartition(".")
                tensor = getattr(self._model.get_submodule(owner), attribute)
                with self._mode:
                    new = _like(tensor, [size_with(term, sizes) for term in dims])
                yield from ((name, new) for name in graph.aliases[first])
        for path, attribute, value in graph.attribute_values(sizes):
            yield (f"{path}.{attribute}" if path else attribute), value


def _shapes(answer: Any) -> Shapes:
    return [tuple(leaf.shape) for leaf in pytree.tree_leaves(answer) if isinstance(leaf, Tensor)]


def _like(tensor: Tensor, size: Sequence[int], stride: Sequence[int] | None = None) -> Tensor:
    """A tensor of another size, in the fake mode that is on; a parameter where ``tensor`` is one."""
    if stride is None:
        new = torch.empty(size, dtype=tensor.dtype, device=tensor.device)
    else:
        new = torch.empty_strided(size, stride, dtype=tensor.dtype, device=tensor.device)
    return nn.Parameter(new, requires_grad=False) if isinstance(tensor, nn.Parameter) else new
