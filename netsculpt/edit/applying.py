"""``apply``: a plan on a model and on everything that trains it, as a whole or not at all."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from torch import nn
from torch.optim import Optimizer

from netsculpt.edit.assigning import assign, assigned
from netsculpt.edit.averages import Average
from netsculpt.edit.checking import check as check_outputs
from netsculpt.edit.checking import expected, fitting
from netsculpt.edit.drafts import Draft
from netsculpt.edit.edits import InsertLayer, RemoveLayer, to_data
from netsculpt.edit.folding import fold
from netsculpt.edit.gradients import gradient_scales, scales_gradients
from netsculpt.edit.history import Step, remember
from netsculpt.edit.optimizers import SlotMode
from netsculpt.edit.plan import Plan
from netsculpt.edit.transaction import Transaction
from netsculpt.edit.values import new_value
from netsculpt.edit.wrappers import unwrapped
from netsculpt.errors import ArgumentError, EditError
from netsculpt.graph import Gather, Graph, Rearrangement
from netsculpt.graph.costs import Cost
from netsculpt.graph.tracing import retrace

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
    follow. ``undo(model)`` takes it back: what was replaced is kept for that, until ``forget(model)``.

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
        EditError: the plan is empty, the graph is another model's, the model does not run before or after, or it
            answers otherwise than the plan promises.
        GraphError: an axis is not there or frozen, or the model cannot be traced with what was inserted.
        ArgumentError: edits contradict each other or the axes.
        ShapeError: given values do not fit.
    """
    if not isinstance(plan, Plan) or not isinstance(graph, Graph):
        raise ArgumentError(f"apply needs a Plan and a Graph, not {type(plan).__name__} and {type(graph).__name__}")
    if not len(plan):
        raise EditError("the plan has no edits, so there is nothing to apply")
    inner = unwrapped(model)
    require_same(graph, inner)
    drafts = plan.drafts(graph)
    layers = [edit for edit in plan.edits if isinstance(edit, (InsertLayer, RemoveLayer))]
    values = assigned(plan.edits, graph)
    wanted = expected(graph, inner, drafts, plan) if check else None
    before = graph.cost()
    with Transaction(model, _several(optimizer), _several(ema), slots=slots) as transaction:
        assign(transaction, values)
        fold(transaction, graph, drafts)
        step = make(transaction, graph, drafts, layers, list(values))
        gap = check_outputs(graph, inner, plan, wanted) if check else None
        new = traced_anew(graph, inner, step)
    finish(transaction, graph, drafts, step, new)
    return Outcome(before, graph.cost(), gap)


def make(
    transaction: Transaction,
    graph: Graph,
    drafts: Mapping[str, Draft],
    layers: Sequence[LayerEdit],
    renewed: Sequence[str] = (),
) -> Step:
    """Change axes, then layers, within a transaction; returns the record of it.

    Args:
        transaction: in which assigned values, ``renewed`` by name, are there already.
        graph: of the model before.
        drafts: what becomes of the axes.
        layers: what comes and goes.
        renewed: first names of the tensors that the plan assigns.
    """
    change = graph.rearrangement({name: each.change for name, each in drafts.items()})
    _change_axes(transaction, graph, change, drafts)
    for edit in layers:
        if isinstance(edit, InsertLayer):
            transaction.insert_module(edit.after, copy.deepcopy(edit.module))  # the plan stays what it is
        else:
            transaction.replace_module(edit.name, nn.Identity())
    return Step(_record(graph, drafts, change, layers, renewed))


def traced_anew(graph: Graph, model: nn.Module, step: Step) -> Graph | None:
    """The graph of a model whose layers came or went; None where only axes changed.

    Raises:
        GraphError: the model cannot be traced any more.
    """
    if not step.record["layers"]:
        return None
    new = copy.copy(graph)
    new.program = graph.program._replace(inputs=fitting(graph.inputs, model))
    retrace(new, model)
    return new


def finish(transaction: Transaction, graph: Graph, drafts: Mapping[str, Draft], step: Step, new: Graph | None) -> None:
    """After a transaction: let the graph follow, and the model remember how to take the step back."""
    sizes = {name: len(each.change.units) for name, each in drafts.items()}
    step.restore_graph = _follow(graph, sizes, new)
    step.applied = transaction.applied
    remember(transaction.model, step)


def _change_axes(transaction: Transaction, graph: Graph, change: Rearrangement, drafts: Mapping[str, Draft]) -> None:
    model = transaction.model
    sizes = {each.axis.term.find(): len(each.change.units) for each in drafts.values()}
    holders: dict[str, list[Draft]] = {}
    scaling: dict[str, list[Draft]] = {}
    for each in drafts.values():
        scales = scales_gradients(each)
        for name in dict.fromkeys(place.tensor for place in each.axis.places):
            holders.setdefault(name, []).append(each)
            if scales:
                scaling.setdefault(name, []).append(each)
    for name, gather in change.gathers.items():
        path, _, attribute = name.rpartition(".")
        owner = model.get_submodule(path)
        value = new_value(graph, name, getattr(owner, attribute), owner, gather, holders[name])
        gradient = Gather(gather.index, gradient_scales(graph, name, scaling.get(name, ()), sizes))
        transaction.replace(name, gather, value, gradient=gradient)
    for module, attribute, stated in change.attributes:
        transaction.set_attribute(module, attribute, stated)


def require_same(graph: Graph, model: nn.Module) -> None:
    """The graph must be of this model as it is now.

    Raises:
        EditError: a tensor is missing or has another shape.
    """
    tensors = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    for name, dims in graph.tensors.items():
        there = tensors.get(name)
        wanted = [term.size for term in dims]
        if there is None or list(there.shape) != wanted:
            found = "is not in the model" if there is None else f"is {list(there.shape)} in the model"
            raise EditError(f"the graph is of another model or an older one: {name} should be {wanted} and {found}")


def _record(
    graph: Graph,
    drafts: Mapping[str, Draft],
    change: Rearrangement,
    layers: Sequence[LayerEdit],
    renewed: Sequence[str],
) -> dict[str, Any]:
    """The step as data: enough to do it again on a fresh model, or to make one of these sizes.

    Of assigned tensors the names alone: their values are the model's, and a saved file has them among its tensors.
    """
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
    return {
        "axes": axes,
        "shapes": shapes,
        "attributes": attributes,
        "layers": [_layer(edit) for edit in layers],
        "assigned": [alias for name in renewed for alias in graph.aliases[name]],
    }


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


def _follow(graph: Graph, sizes: Mapping[str, int], new: Graph | None) -> Callable[[], None]:
    """Bring the graph up to date; returns what brings it back when the edit is undone."""
    before = {name: graph[name].size for name in sizes}
    if new is None:
        graph.resize(sizes)
        return lambda: graph.resize(before)
    old = dict(graph.__dict__)
    graph.__dict__.clear()
    graph.__dict__.update(new.__dict__)

    def restore() -> None:
        graph.__dict__.clear()
        graph.__dict__.update(old)

    return restore


def _several(given: Any) -> tuple[Any, ...]:
    if given is None:
        return ()
    alone = isinstance(given, (Optimizer, nn.Module, Mapping)) or not isinstance(given, Iterable)
    return (given,) if alone else tuple(given)
