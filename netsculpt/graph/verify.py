"""Proof of a graph on the model itself: units may trade places, and silenced units may go."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from netsculpt.errors import GraphError
from netsculpt.graph.axes import Axis
from netsculpt.graph.graph import Change, Graph, Rearrangement
from netsculpt.graph.program import Inputs, as_inputs
from netsculpt.graph.source import blame
from netsculpt.graph.untouched import tracing_mode

# What counts as rounding, relative to the largest entry of the outputs, by the lowest precision on the way to them.
TOLERANCES = {
    torch.float64: 1e-9,
    torch.complex128: 1e-9,
    torch.float32: 1e-5,
    torch.complex64: 1e-5,
    torch.float16: 0.02,
    torch.bfloat16: 0.1,
}


class Proof(NamedTuple):
    """What happened to the outputs of the model when the units of one axis changed.

    Attributes:
        axis: its name.
        size: its units.
        permuted: largest difference of the outputs after a random permutation of the units, relative to the largest
            output; infinite where the model did not run.
        removed: the same between the model with some units silenced and the model without them; None where the axis is
            not exact, or has one unit.
        tolerance: what counts as rounding: some models compute parts in float32 whatever their weights are in.
        error: why the model did not run.
    """

    axis: str
    size: int
    permuted: float
    removed: float | None
    tolerance: float
    error: str | None = None

    @property
    def holds(self) -> bool:
        """Whether the graph is right about this axis."""
        return self.permuted <= self.tolerance and (self.removed is None or self.removed <= self.tolerance)


def verify(
    graph: Graph, model: nn.Module, example_inputs: Any, kwargs: Mapping[str, Any] | None = None, seed: int = 0
) -> list[Proof]:
    """Prove a graph on a float64 copy of the model in eval mode.

    For every axis that can change: its units are permuted at random, which must leave the outputs alone, and a random
    half of them is silenced, which must give the outputs of the model without them.

    Args:
        graph: the graph of ``model``.
        model: not changed.
        example_inputs: as for ``trace``.
        kwargs: as for ``trace``.
        seed: of the permutations.

    Returns:
        A proof per axis that can change; ``all(proof.holds for proof in proofs)`` says that the graph is right.

    Raises:
        GraphError: the model does not run in float64.
    """
    copied = copy.deepcopy(model).double().eval()
    inputs = in_double(as_inputs(example_inputs, kwargs))
    generator = torch.Generator().manual_seed(seed)
    try:
        with tracing_mode(copied), _LowestPrecision() as seen:
            before = outputs_of(copied, inputs)
    except Exception as error:
        raise GraphError(f"a copy of the model in float64 does not run: {blame(error)}") from error
    trial = _Trial(graph, copied, inputs, before, TOLERANCES[seen.lowest])
    return [trial.prove(axis, torch.randperm(axis.size, generator=generator)) for axis in graph.sculptable]


class _LowestPrecision(TorchDispatchMode):
    """Sees the floating-point type of lowest precision among all results."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lowest = torch.float64

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        kinds = [leaf.dtype for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
        self.lowest = max(self.lowest, *filter(TOLERANCES.get, kinds), self.lowest, key=TOLERANCES.__getitem__)
        return result


class _Trial(NamedTuple):
    """A model in float64 and what it answers as it is."""

    graph: Graph
    model: nn.Module
    inputs: Inputs
    before: list[Tensor]
    tolerance: float

    def prove(self, axis: Axis, order: Tensor) -> Proof:
        """Permute the units of an axis, then do without the later half of them."""
        try:
            permuted = difference(self.before, self._outputs(axis.name, Change(order)))
            removed = None
            if axis.size > 1:
                kept = order[: max(1, axis.size // 2)].sort().values
                without = self._outputs(axis.name, Change(kept))
                if axis.exact:
                    weights = torch.zeros(axis.size, dtype=torch.float64).index_fill_(0, kept, 1)
                    silenced = Change(torch.arange(axis.size), weights)
                    removed = difference(self._outputs(axis.name, silenced), without)
        except Exception as error:
            return Proof(axis.name, axis.size, float("inf"), None, self.tolerance, blame(error))
        return Proof(axis.name, axis.size, permuted, removed, self.tolerance)

    def _outputs(self, name: str, change: Change) -> list[Tensor]:
        with rearranged(self.model, self.graph, self.graph.rearrangement({name: change})), tracing_mode(self.model):
            return outputs_of(self.model, self.inputs)


@contextmanager
def rearranged(model: nn.Module, graph: Graph, change: Rearrangement) -> Iterator[None]:
    """The model with its tensors and attributes changed, for as long as the context lasts."""
    before: list[tuple[nn.Module, str, Any]] = []

    def put(module: nn.Module, name: str, value: Any) -> None:
        before.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    try:
        for first, gather in change.gathers.items():
            tensor = _tensor(model, first)
            new = gather.gather(tensor)
            replacement = nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new
            for name in graph.aliases[first]:
                path, _, attribute = name.rpartition(".")
                put(model.get_submodule(path), attribute, replacement)
        for path, attribute, value in change.attributes:
            put(model.get_submodule(path), attribute, value)
        yield
    finally:
        for module, name, value in reversed(before):
            setattr(module, name, value)


def outputs_of(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """The tensors that the model answers with."""
    with torch.no_grad():
        answer = model(*inputs.args, **inputs.kwargs)
    return [leaf for leaf in pytree.tree_leaves(_plain(answer)) if isinstance(leaf, Tensor)]


def in_double(inputs: Inputs) -> Inputs:
    """Floating-point tensors in float64."""

    def cast(leaf: Any) -> Any:
        return leaf.double() if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    return Inputs(*pytree.tree_map(cast, tuple(inputs)))


def difference(a: list[Tensor], b: list[Tensor]) -> float:
    """The largest difference, relative to the largest finite entry; infinite where shapes, infinities, NaNs differ."""
    if [x.shape for x in a] != [y.shape for y in b]:
        return float("inf")
    return max((_gap(_real(x), _real(y)) for x, y in zip(a, b, strict=True) if x.numel()), default=0.0)


def _gap(x: Tensor, y: Tensor) -> float:
    finite = x.isfinite()
    if not torch.allclose(x[~finite], y[~finite], rtol=0, equal_nan=True) or not bool(y[finite].isfinite().all()):
        return float("inf")
    x, y = x[finite], y[finite]
    return float((x - y).abs().max() / x.abs().max().clamp(min=1e-30)) if len(x) else 0.0


def _real(x: Tensor) -> Tensor:
    return torch.view_as_real(x.resolve_conj()).double() if x.is_complex() else x.double()


def _plain(answer: Any) -> Any:
    return dict(answer) if isinstance(answer, Mapping) else answer


def _tensor(model: nn.Module, name: str) -> Tensor:
    path, _, attribute = name.rpartition(".")
    return getattr(model.get_submodule(path), attribute)
