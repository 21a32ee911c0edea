"""The state of any torch optimizer, carried through a change of one of its parameters.

What an optimizer keeps for a parameter is told apart by shape, so optimizers of other packages work too:

- tensors of the parameter's shape are gathered as it was; new entries hold what a fresh optimizer would (0, or the
  learning rate in ``Rprop``'s step sizes and ``initial_accumulator_value`` in ``Adagrad``'s sums);
- tensors of size 1 in some dims (``Adafactor``'s row and column averages) are gathered in the others;
- scalars and ``step`` are kept, on the device where they are;
- anything else is refused by name, and so are ``LBFGS`` with a history and ``ZeroRedundancyOptimizer``.

The dicts in ``param_groups`` and their lists stay the same objects in the same order, so schedulers go on. A
``GradScaler`` needs nothing: all it keeps is one scale, and for each optimizer whether an infinity was found.
"""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torch import Tensor
from torch.optim import LBFGS, Adagrad, Optimizer, RMSprop

from netsculpt.edit.carry import beyond, follow, magnitude, merge, on_dims, powered, without_copies
from netsculpt.errors import EditError
from netsculpt.graph.gather import Gather

State: TypeAlias = MutableMapping[str, Any]
SlotMode: TypeAlias = Literal["copy", "zero", "scaled"]

# How a slot goes with the gradient. Slots that are not named here (step sizes, averages of updates) do not.
SLOTS: Mapping[str, Literal["first", "second", "magnitude", "weights"]] = {
    "exp_avg": "first",
    "grad_avg": "first",
    "momentum_buffer": "first",  # but RMSprop's, whose gradients were normalised
    "prev": "first",
    "exp_avg_sq": "second",
    "max_exp_avg_sq": "second",
    "square_avg": "second",
    "sum": "second",
    "variance": "second",
    "row_var": "second",
    "col_var": "second",
    "exp_inf": "magnitude",
    "ax": "weights",  # ASGD's average of the weights
}
_FRESH = {"step_size": "lr", "sum": "initial_accumulator_value"}
_AVERAGED_DIM = {"row_var": -1, "col_var": -2}


@dataclass(frozen=True)
class Rule:
    """How one parameter's slots change.

    Attributes:
        gather: the parameter's own.
        gradient: the same entries with the factors by which their gradients change.
        mode: what a duplicated entry's slots become: ``copy`` as they are, ``zero`` a fresh start for every copy, or
            ``scaled`` with the gradient's factors (averages of gradients by the factor, of squares by its square).
        added: what the new parameter has beyond the gather, or None.
        fill: what the parameter's new entries hold before that.
        value: what averages of the parameter become, where they do not follow it.
    """

    gather: Gather
    gradient: Gather
    mode: SlotMode
    added: Tensor | None = None
    fill: float = 0.0
    value: Tensor | None = None

    def average(self, gather: Gather, average: Tensor) -> tuple[Tensor, Tensor | None]:
        """The average of the parameter after the change, and what of it the gather did not make."""
        if self.value is None:
            return follow(gather, average, self.added, self.fill), self.added
        gathered = gather.gather(average, self.fill)
        added = beyond(self.value, gathered)
        return gathered.copy_(self.value), added

    def of(self, optimizer: Optimizer, name: str) -> Gather:
        """The gather of the slot ``name``, in any mode as if copies kept what they have."""
        kind = SLOTS.get(name)
        if kind == "weights":
            return self.gather
        normalised = isinstance(optimizer, RMSprop) and name == "momentum_buffer"
        if self.mode != "scaled" or kind is None or normalised:
            return powered(self.gather, 0)
        return magnitude(self.gradient) if kind == "magnitude" else powered(self.gradient, 1 if kind == "first" else 2)


def refuse(optimizer: Optimizer) -> None:
    """Raises EditError for an optimizer whose state cannot be carried through an edit."""
    name = type(optimizer).__name__
    if isinstance(optimizer, LBFGS) and (optimizer.state or optimizer._numel_cache is not None):
        raise EditError(f"{name} keeps a history of whole flat vectors; make a new one after the edit.")
    if name == "ZeroRedundancyOptimizer":
        raise EditError(f"{name} keeps its state in shards of other processes; make a new one after the edit.")


def home(optimizer: Optimizer, parameter: Tensor) -> tuple[dict[str, Any], int] | None:
    """The param group that holds a parameter and the place in it, or None."""
    for group in optimizer.param_groups:
        for place, member in enumerate(group["params"]):
            if member is parameter:
                return group, place
    return None


def carried(optimizer: Optimizer, old: Tensor, rule: Rule) -> State | None:
    """The state of the parameter that follows ``old``; None where there is none yet. Nothing is changed.

    Raises:
        EditError: the optimizer keeps something for ``old`` that has no place in another shape.
    """
    if old not in optimizer.state:
        return None
    found = home(optimizer, old)
    group = found[0] if found else optimizer.defaults
    state: State = {}
    for name, slot in optimizer.state[old].items():
        if is_scalar(name, slot, old):
            state[name] = slot.clone() if isinstance(slot, Tensor) else slot
            continue
        dims = gathered_dims(optimizer, name, slot, old)
        gather = on_dims(rule.of(optimizer, name), dims)
        if SLOTS.get(name) == "weights":
            state[name], _ = rule.average(gather, slot)
        else:
            gather = without_copies(gather) if rule.mode == "zero" else gather
            state[name] = gather.gather(slot, fresh(group, name))
    return state


def brought_back(optimizer: Optimizer, state: State, before: State, new: Tensor, old: Tensor, rule: Rule) -> State:
    """The state of ``old`` after training went on in ``new``. Nothing is changed.

    Args:
        optimizer: whose state it is.
        state: of ``new``, now.
        before: of ``old`` before the edit; empty where there was none.
        new: the parameter that followed ``old``.
        old: the parameter before the edit.
        rule: by which ``state`` was once made.
    """
    found = home(optimizer, new)
    group = found[0] if found else optimizer.defaults
    back: State = {}
    for name, slot in state.items():
        if is_scalar(name, slot, new):
            back[name] = slot
            continue
        dims = gathered_dims(optimizer, name, slot, new)
        shape = [old.shape[dim] if dim in dims else slot.shape[dim] for dim in range(slot.dim())]
        lost = before.get(name)
        lost = slot.new_full(shape, fresh(group, name)) if lost is None else lost
        gather, added = on_dims(rule.of(optimizer, name), dims), None
        if SLOTS.get(name) == "weights":
            added = rule.average(gather, lost)[1] if name in before else rule.added
        back[name] = merge(gather, slot, lost, added)
    return back


def is_scalar(name: str, slot: Any, parameter: Tensor) -> bool:
    """Whether a slot belongs to the parameter as a whole and not to its entries."""
    if not isinstance(slot, Tensor):
        return not isinstance(slot, (list, tuple, dict))
    return name == "step" or (slot.numel() == 1 and slot.dim() != parameter.dim())


def gathered_dims(optimizer: Optimizer, name: str, slot: Any, parameter: Tensor) -> list[int]:
    """The dims in which a slot has the parameter's entries.

    Raises:
        EditError: the slot is not a tensor, or has neither the parameter's sizes nor ones.
    """
    known = isinstance(slot, Tensor) and slot.dim() == parameter.dim()
    if not known or any(has not in (1, size) for has, size in zip(slot.shape, parameter.shape, strict=True)):
        what = f"of shape {list(slot.shape)}" if isinstance(slot, Tensor) else f"of type {type(slot).__name__}"
        raise EditError(
            f"{type(optimizer).__name__} keeps {name!r} {what} for a parameter of shape {list(parameter.shape)}, "
            "and no rule says what an edit makes of that; make a new optimizer after the edit."
        )
    averaged = _AVERAGED_DIM.get(name, 0) % parameter.dim() if name in _AVERAGED_DIM else None
    return [dim for dim in range(slot.dim()) if slot.shape[dim] == parameter.shape[dim] and dim != averaged]


def fresh(group: Mapping[str, Any], name: str) -> float:
    """What a slot of an entry holds that was never trained."""
    return float(group.get(_FRESH.get(name, ""), 0.0))


def initial_state(optimizer: Optimizer, group: Mapping[str, Any], parameter: Tensor) -> State | None:
    """The state that a new member of a group must have before its first step; None for all but Adagrad."""
    if not isinstance(optimizer, Adagrad):
        return None
    return Adagrad([parameter], **{name: group[name] for name in ("initial_accumulator_value", "fused")}).state[
        parameter
    ]


def slots(state: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """The tensors of a state, by name."""
    return ((name, slot) for name, slot in state.items() if isinstance(slot, Tensor))


def rekey(optimizer: Optimizer, old: Tensor, new: Tensor, state: State | None) -> None:
    """Puts a state under ``new`` where ``old``'s was, so that the order of all states stays; None takes it away."""
    pairs: list[tuple[Tensor, State]] = []
    for key, value in optimizer.state.items():
        if key is not old:
            pairs.append((key, value))
        elif state is not None:
            pairs.append((new, state))
    if state is not None and old not in optimizer.state:
        pairs.append((new, state))
    optimizer.state.clear()
    optimizer.state.update(pairs)
