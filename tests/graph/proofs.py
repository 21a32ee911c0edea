"""What a graph promises about a model, tried on the model in float64: all of it, not only what ``verify`` looks at."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from netsculpt.graph import Change, Gather, Graph, Rearrangement
from netsculpt.graph.program import Inputs
from netsculpt.graph.verify import difference, in_double, outputs_of, rearranged, verify


def failures(graph: Graph, model: nn.Module) -> list[str]:
    """Everything that a graph says of its model and that is not so; nothing is left unproved."""
    proofs = verify(graph, model, graph.inputs.args, graph.inputs.kwargs)
    found, bound = [str(proof) for proof in proofs if not proof.holds], max((p.tolerance for p in proofs), default=0.0)
    trial = _Trial(graph, model)
    for axis in graph.sculptable:
        if axis.uncopyable is None:
            found.extend(trial.differs(f"copies of {axis.name}", copies(axis.size, trial.generator), axis.name, bound))
        if axis.inexact is None:
            found.extend(trial.differs(f"new units of {axis.name}", widened(axis.size), axis.name, bound))
    found.extend(trial.all_permuted(bound))
    found.extend(trial.all_pruned(bound))
    return found


def copies(size: int, generator: torch.Generator) -> Change:
    """Some units twice, whose weights are shared unequally, in a random order."""
    twice = torch.randperm(size, generator=generator)[: max(1, size // 2)]
    units = torch.cat([torch.arange(size), twice])
    weights = torch.ones(size + len(twice), dtype=torch.float64)
    weights[twice], weights[size:] = -0.25, 1.25
    order = torch.randperm(len(units), generator=generator)
    return Change(units[order], weights[order])


def widened(size: int) -> Change:
    """New units among the old ones, of no weight."""
    units = torch.cat([torch.tensor([-1]), torch.arange(size), torch.tensor([-1, -1])])
    return Change(units, (units >= 0).double())


class Filled(NamedTuple):
    """A gather whose new entries are random wherever a factor does not make them zero."""

    wanted: Gather

    def gather(self, tensor: Tensor) -> Tensor:
        """The new tensor."""
        new = self.wanted.gather(tensor)
        for dim, index in self.wanted.index.items():
            fresh = (index < 0).reshape([-1 if d == dim else 1 for d in range(new.dim())]).expand(new.shape)
            if new.is_floating_point():
                random = torch.rand(new.shape, generator=torch.Generator().manual_seed(dim), dtype=new.dtype) + 0.5
                new = torch.where(fresh, random, new)
        for dim, scale in self.wanted.scale.items():
            fresh = (self.wanted.index[dim] < 0).double()
            shape = [-1 if d == dim else 1 for d in range(new.dim())]
            new = new * (1 + fresh * (scale - 1)).reshape(shape).to(new.dtype)
        return new


class _Trial:
    def __init__(self, graph: Graph, model: nn.Module) -> None:
        self.generator = torch.Generator().manual_seed(1)
        self._graph = graph
        self._model = copy.deepcopy(model).double().eval()
        self._inputs: Inputs = in_double(graph.inputs)
        self._before = outputs_of(self._model, self._inputs)

    def outputs(self, changes: Mapping[str, Change], filled: bool = False) -> list[Tensor]:
        change = self._graph.rearrangement(changes)
        gathers: Any = {name: Filled(gather) if filled else gather for name, gather in change.gathers.items()}
        with rearranged(self._model, self._graph, Rearrangement(gathers, change.attributes)):
            return outputs_of(self._model, self._inputs)

    def differs(self, what: str, change: Change, name: str, bound: float) -> Iterator[str]:
        try:
            gap = difference(self._before, self.outputs({name: change}, filled=True))
        except Exception as error:
            yield f"{what}: {type(error).__name__}: {error}"
            return
        if not gap <= bound:
            yield f"{what} differ by {gap:.1e}"

    def all_permuted(self, bound: float) -> Iterator[str]:
        orders = {a.name: Change(torch.randperm(a.size, generator=self.generator)) for a in self._graph.sculptable}
        gap = difference(self._before, self.outputs(orders))
        if not gap <= bound:
            yield f"all axes permuted at once: {gap:.1e}"

    def all_pruned(self, bound: float) -> Iterator[str]:
        """Every exact axis loses units at once, which is the same as silencing them at once."""
        kept, silenced = {}, {}
        for axis in (axis for axis in self._graph.sculptable if axis.exact and axis.size > 1):
            units = torch.randperm(axis.size, generator=self.generator)[: (axis.size + 1) // 2].sort().values
            weights = torch.zeros(axis.size, dtype=torch.float64).index_fill(0, units, 1)
            kept[axis.name], silenced[axis.name] = Change(units), Change(torch.arange(axis.size), weights)
        gap = difference(self.outputs(silenced), self.outputs(kept))
        if not gap <= bound:
            yield f"all exact axes pruned at once: {gap:.1e}"
