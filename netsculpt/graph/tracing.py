"""``trace``: from a model and example inputs to its graph."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

from netsculpt.errors import ArgumentError
from netsculpt.graph.analysis import Analysis
from netsculpt.graph.attributes import SizeAttribute, find_attributes, tie_merged
from netsculpt.graph.axes import find_axes
from netsculpt.graph.facts import Role
from netsculpt.graph.graph import Graph
from netsculpt.graph.probe import Probe, grown
from netsculpt.graph.program import Inputs, Program, as_inputs, export
from netsculpt.graph.scales import find_scales
from netsculpt.graph.terms import Term
from netsculpt.graph.untouched import no_collections

# A layer, or its name; alone, or with the side that must stay: "inputs" or "outputs".
Layer: TypeAlias = nn.Module | str
Ignored: TypeAlias = Layer | tuple[Layer, str]


def trace(
    model: nn.Module,
    example_inputs: Any,
    kwargs: Mapping[str, Any] | None = None,
    *,
    ignored_layers: Iterable[Ignored] = (),
) -> Graph:
    """Find which slices of which tensors of a model form one unit.

    The model is traced in eval mode with fake tensors and is left as it was. The time is linear in its operations.

    Args:
        model: any module that torch.export can trace.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments. With a batch of two or more
            examples, the program is traced for any batch size where the model allows it.
        kwargs: keyword arguments beside a tuple.
        ignored_layers: modules or their names whose units stay: ``layer`` protects what it makes and what it uses,
            ``(layer, "outputs")`` only what it makes, ``(layer, "inputs")`` only what it uses. A module that contains
            others stands for all of them.

    Returns:
        The graph, its axes in the order in which the program meets them.

    Raises:
        GraphError: torch cannot trace the model; the sentence holds its reason.
        ArgumentError: an ignored layer is not in the model, or names no side.
    """
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    protected = [_resolve(model, item) for item in ignored_layers]
    with no_collections():
        return _traced(model, as_inputs(example_inputs, kwargs), protected)


def _traced(model: nn.Module, inputs: Inputs, protected: list[tuple[str, str]]) -> Graph:
    program = export(model, inputs)
    analysis = Analysis(program.exported)
    attributes = find_attributes(model, analysis)
    for path, side in protected:
        _protect(analysis, path, side)
    _refuse_spectral_norm(model, analysis)
    current = partial(_graph, model, program, analysis, attributes, protected)
    probe = Probe(model, inputs, analysis)
    while True:  # every round but the last ties axes or freezes some
        graph = current()
        sizes = grown(graph)
        outcome = probe.run(graph, sizes)
        if not outcome.faults and outcome.error is None:
            return current() if find_scales(analysis, graph, probe, sizes, outcome.numbers) else graph
        if not tie_merged(analysis, outcome.faults, sizes):
            # Where no axis alone is to blame, all are: every round must leave fewer.
            blamed = probe.blamed(graph, sizes, outcome) or dict.fromkeys(sizes, outcome.error or "it does not follow")
            for axis, reason in blamed.items():
                analysis.algebra.freeze(axis, f"its size is written into the code: {reason}")


def retrace(graph: Graph, model: nn.Module) -> None:
    """Bring ``graph`` up to date after layers came or went: traced anew with the same inputs and protections."""
    new = trace(model, graph.inputs.args, graph.inputs.kwargs, ignored_layers=graph.protected)
    graph.__dict__.clear()
    graph.__dict__.update(new.__dict__)


def _graph(
    model: nn.Module,
    program: Program,
    analysis: Analysis,
    attributes: list[SizeAttribute],
    protected: list[tuple[str, str]],
) -> Graph:
    return Graph(
        axes=tuple(find_axes(analysis)),
        tensors=analysis.tensors,
        aliases=_aliases(model, analysis),
        unknown=tuple(analysis.unknown),
        program=program,
        attributes=tuple(attributes),
        parameters=frozenset(analysis.parameters),
        products=tuple(analysis.facts.macs),
        batch=tuple(analysis.batch),
        protected=tuple(protected),
        sums=_sums(analysis),
        values={step.node.name: step.outputs for step in analysis.steps if step.node.graph is program.exported.graph},
    )


def _sums(analysis: Analysis) -> dict[str, tuple[Term, ...]]:
    found: dict[str, tuple[Term, ...]] = {}
    for each in analysis.facts.contractions:
        found[each.node] = (*found.get(each.node, ()), each.term)
    return found


def _resolve(model: nn.Module, item: Ignored) -> tuple[str, str]:
    layer, side = item if isinstance(item, tuple) else (item, "both")
    if side not in {"both", "inputs", "outputs"}:
        raise ArgumentError(f"ignored_layers: the side of a layer must be 'inputs' or 'outputs', not {side!r}")
    for path, module in model.named_modules():
        if layer is module or layer == path:
            return path, side
    shown = repr(layer) if isinstance(layer, str) else type(layer).__name__
    raise ArgumentError(f"ignored_layers: {shown} is not in the model")


def _protect(analysis: Analysis, path: str, side: str) -> None:
    for fact in analysis.facts.roles:
        inside = any(name == path or name.startswith(f"{path}.") or not path for name in fact.tensors)
        wanted = {"both": True, "inputs": fact.role is Role.CONSUMER, "outputs": fact.role is Role.PRODUCER}[side]
        if inside and wanted:
            analysis.algebra.freeze(fact.term, f"{path or 'the model'} is in ignored_layers")


def _refuse_spectral_norm(model: nn.Module, analysis: Analysis) -> None:
    """Its singular vectors belong to the whole matrix: no slice can go without changing what is left."""
    for path, module in model.named_modules():
        if isinstance(module, parametrize.ParametrizationList) and any(isinstance(p, _SpectralNorm) for p in module):
            for name, dims in analysis.tensors.items():
                if name.startswith(f"{path}."):
                    for term in dims:
                        analysis.algebra.freeze(term, f"spectral_norm of {path.split('.parametrizations')[0]}")


def _aliases(model: nn.Module, analysis: Analysis) -> dict[str, tuple[str, ...]]:
    names: dict[int, list[str]] = {}
    for kind in (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)):
        for name, tensor in kind:
            names.setdefault(id(tensor), []).append(name)
    by_name = {name: tuple(group) for group in names.values() for name in group}
    return {name: by_name.get(name, (name,)) for name in analysis.tensors}
