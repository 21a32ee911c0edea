"""``apply``: a plan on a model and on everything that trains it, as a whole or not at all."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netsculpt.edit.averages import Average
from netsculpt.edit.drafts import Draft
from netsculpt.edit.edits import InsertLayer, RemoveLayer, Split, to_data
from netsculpt.edit.folding import fold
from netsculpt.edit.history import Step, remember
from netsculpt.edit.optimizers import SlotMode
from netsculpt.edit.plan import Plan
from netsculpt.edit.transaction import Transaction
from netsculpt.edit.values import new_value
from netsculpt.edit.wrappers import unwrapped
from netsculpt.errors import EditError
from netsculpt.graph import Change, Gather, Graph, Rearrangement
from netsculpt.graph.costs import Cost
from netsculpt.graph.positions import factors
from netsculpt.graph.program import tracing_mode
from netsculpt.graph.tracing import retrace
from netsculpt.graph.verify import difference, outputs_of, rearranged

# Largest difference of outputs, relative to the largest output, that counts as rounding.
BOUNDS = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 0.2, torch.float16: 0.05}


LayerEdit: TypeAlias = InsertLayer | RemoveLayer


class Outcome(NamedTuple):
    """What applying a plan came to.

    Attributes:
        before: cost of the model before.
        after: cost of the model after.
        difference: largest difference between the outputs of the edited model and those of the old model with the
            removed units silenced, relative to the largest output; None where the plan changes the function or was
            not checked.
    """

    before: Cost
    after: Cost
    difference: float | None


def apply(
    plan: Plan,
    model: nn.Module,
    optimizer: Optimizer | Iterable[Optimizer] | None = None,
    ema: Average | Iterable[Average] | None = None,
    *,
    graph: Graph,
    check: bool = True,
    slots: SlotMode = "copy",
) -> Outcome:
    """Make the edits of a plan, in place. On any failure model and optimizers are bit for bit what they were.

    Parameters become new ``Parameter`` objects of the same name, with ``requires_grad``, dtype, device, gradients and
    hooks; optimizers hold them in the place of the old ones, with their slots; attributes such as ``out_channels``
    follow. ``undo(model)`` takes it back.

    Args:
        plan: what to do; all edits refer to the model as it is.
        model: changed in place. What torch.compile made of it compiles once more; a DistributedDataParallel is edited
            by ``netsculpt.edit.rewrap``.
        optimizer: the optimizer that trains the model, or several.
        ema: averages of the model to be edited alike, one or several.
        graph: the model's graph, which follows the edits: it is the graph of the edited model afterwards.
        check: run the example inputs of the graph, and where the plan preserves the function compare the outputs.
        slots: what optimizer slots of copied units become: "copy", "zero" or "scaled".

    Returns:
        Costs and the measured difference.

    Raises:
        EditError: the plan is empty, the graph is another model's, the edited model does not run, or it answers
            otherwise than the plan promises.
        GraphError: an axis is not there or frozen.
        ArgumentError: edits contradict each other or the axes.
        ShapeError: given values do not fit.
    """
    if not len(plan):
        raise EditError("the plan has no edits, so there is nothing to apply")
    inner = unwrapped(model)
    _require_same(graph, inner)
    drafts = plan.drafts(graph)
    layers = [edit for edit in plan.edits if isinstance(edit, (InsertLayer, RemoveLayer))]
    expected = _expected(graph, inner, drafts, plan) if check else None
    before = graph.cost()
    with Transaction(model, _several(optimizer), _several(ema), slots=slots) as transaction:
        fold(transaction, graph, drafts)
        step = make(transaction, graph, drafts, layers)
        gap = _check(graph, inner, plan, expected) if check else None
    finish(transaction, graph, drafts, step)
    return Outcome(before, graph.cost(), gap)


def make(transaction: Transaction, graph: Graph, drafts: Mapping[str, Draft], layers: Sequence[LayerEdit]) -> Step:
    """Change axes, then layers, within a transaction; returns the record of it."""
    change = graph.rearrangement({name: each.change for name, each in drafts.items()})
    _change_axes(transaction, graph, change, drafts)
    for edit in layers:
        if isinstance(edit, InsertLayer):
            transaction.insert_module(edit.after, edit.module)
        else:
            transaction.replace_module(edit.name, nn.Identity())
    return Step(_record(graph, drafts, change, layers))


def finish(transaction: Transaction, graph: Graph, drafts: Mapping[str, Draft], step: Step) -> None:
    """After a transaction: let the graph follow, and the model remember how to take the step back."""
    sizes = {name: len(each.change.units) for name, each in drafts.items()}
    step.restore_graph = _follow(graph, transaction.model, sizes, bool(step.record["layers"]))
    step.applied = transaction.applied
    remember(transaction.model, step)


def _change_axes(transaction: Transaction, graph: Graph, change: Rearrangement, drafts: Mapping[str, Draft]) -> None:
    model = transaction.model
    sizes = {each.axis.term.find(): len(each.change.units) for each in drafts.values()}
    for name, gather in change.gathers.items():
        path, _, attribute = name.rpartition(".")
        owner = model.get_submodule(path)
        value = new_value(graph, name, getattr(owner, attribute), owner, gather, list(drafts.values()))
        gradient = Gather(gather.index, _gradient_scales(graph, name, drafts, sizes))
        transaction.replace(name, gather, value, gradient=gradient)
    for module, attribute, stated in change.attributes:
        transaction.set_attribute(module, attribute, stated)


def _gradient_scales(
    graph: Graph, name: str, drafts: Mapping[str, Draft], sizes: Mapping[Any, int]
) -> dict[int, Tensor]:
    """A unit whose outgoing weights are scaled passes as much less gradient to its incoming weights."""
    scales: dict[int, Tensor] = {}
    for each in drafts.values():
        for dim in {place.dim for place in each.axis.places if place.tensor == name and not place.silences}:
            assert each.change.weights is not None
            if bool((each.change.weights == 1).all()):
                continue
            scale = factors(graph.tensors[name][dim], {each.axis.term.find(): each.change.weights}, sizes)
            scales[dim] = scales[dim] * scale if dim in scales else scale
    return scales


def _expected(graph: Graph, model: nn.Module, drafts: Mapping[str, Draft], plan: Plan) -> list[Tensor] | None:
    """The outputs that the edited model must have; None where the plan changes the function."""
    copied = {edit.axis for edit in plan.edits if isinstance(edit, Split)}
    exact = all(
        each.preserving and each.axis.exact and (name not in copied or each.axis.uncopyable is None)
        for name, each in drafts.items()
    )
    if not exact or any(isinstance(edit, RemoveLayer) or not getattr(edit, "exact", True) for edit in plan.edits):
        return None
    silenced = {name: Change(torch.arange(each.axis.size), each.silenced()) for name, each in drafts.items()}
    with rearranged(model, graph, graph.rearrangement(silenced)):
        return _outputs(graph, model)


def _check(graph: Graph, model: nn.Module, plan: Plan, expected: list[Tensor] | None) -> float | None:
    try:
        answers = _outputs(graph, model)
    except Exception as error:
        raise EditError(f"the model does not run after '{_first(plan)}': {_where(error)}") from error
    if expected is None:
        return None
    gap = difference(expected, answers)
    kinds = [tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()]
    bound = max((BOUNDS.get(kind, 1e-3) for kind in kinds), default=1e-3)
    if not gap <= bound:
        raise EditError(
            f"the outputs after '{_first(plan)}' differ by {gap:.1e} of the largest, more than rounding ({bound:g}); "
            "nothing was changed"
        )
    return gap


def _outputs(graph: Graph, model: nn.Module) -> list[Tensor]:
    with tracing_mode(model), torch.random.fork_rng():
        return outputs_of(model, graph.inputs)


def _first(plan: Plan) -> str:
    return str(plan.edits[0]) + (f" and {len(plan) - 1} more edits" if len(plan) > 1 else "")


def _where(error: Exception) -> str:
    """The error in one line, with the last line of the user's code that led to it."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/torch/" not in frame.filename]
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno} `{frames[-1].line}`)" if frames else ""
    return f"{type(error).__name__}: {said}{place}"


def _require_same(graph: Graph, model: nn.Module) -> None:
    """The graph must be of this model as it is now."""
    tensors = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    for name, dims in graph.tensors.items():
        there = tensors.get(name)
        wanted = [term.size for term in dims]
        if there is None or list(there.shape) != wanted:
            found = "is not in the model" if there is None else f"is {list(there.shape)} in the model"
            raise EditError(f"the graph is of another model or an older one: {name} should be {wanted} and {found}")


def _record(
    graph: Graph, drafts: Mapping[str, Draft], change: Rearrangement, layers: Sequence[LayerEdit]
) -> dict[str, Any]:
    """The step as data: enough to do it again on a fresh model, or to make one of these sizes."""
    axes = {
        name: {"size": each.axis.size, "units": each.change.units.tolist(), "weights": _weights(each)}
        for name, each in drafts.items()
    }
    shapes = {
        name: [len(g.index[d]) if d in g.index else term.size for d, term in enumerate(graph.tensors[name])]
        for name, g in change.gathers.items()
    }
    shapes = {alias: shape for name, shape in shapes.items() for alias in graph.aliases[name]}
    attributes = [
        [module, name, list(value) if isinstance(value, tuple) else value] for module, name, value in change.attributes
    ]
    return {"axes": axes, "shapes": shapes, "attributes": attributes, "layers": [_layer(edit) for edit in layers]}


def _weights(each: Draft) -> list[float] | None:
    weights = each.change.weights
    assert weights is not None
    return None if bool((weights == 1).all()) else weights.tolist()


def _layer(edit: LayerEdit) -> dict[str, Any]:
    """The edit as data; a layer that cannot be described is named, and ``save`` refuses it."""
    try:
        return to_data(edit, state=False)
    except EditError as error:
        return {"edit": edit.kind, "refused": str(error)}


def _follow(graph: Graph, model: nn.Module, sizes: Mapping[str, int], layers: bool) -> Callable[[], None]:
    """Bring the graph up to date; returns what brings it back when the edit is undone."""
    before = {name: graph[name].size for name in sizes}
    if not layers:
        graph.resize(sizes)
        return lambda: graph.resize(before)
    old = dict(graph.__dict__)
    retrace(graph, model)

    def restore() -> None:
        graph.__dict__.clear()
        graph.__dict__.update(old)

    return restore


def _several(given: Any) -> tuple[Any, ...]:
    if given is None:
        return ()
    return tuple(given) if isinstance(given, (list, tuple)) else (given,)
