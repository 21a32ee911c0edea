"""Modules that come, and the param groups that their parameters join."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from netsculpt.edit.changes import Assignment, Change, Hook, Place
from netsculpt.edit.names import Names
from netsculpt.edit.optimizers import home
from netsculpt.errors import ArgumentError, EditError


def run_inserted(key: str, module: nn.Module, args: Any, output: Any) -> Any:
    """The forward hook of a layer that another was inserted after: the other's output in place of its own."""
    return getattr(module, key)(output)


def insertion(after: nn.Module, module: nn.Module) -> tuple[str, list[Change]]:
    """The name under ``after`` that an inserted module gets, and the changes that insert it.

    Raises:
        EditError: ``after`` only holds other modules and never runs.
    """
    if isinstance(after, (nn.ModuleList, nn.ModuleDict)):
        raise EditError(f"after must be a layer that runs, not a {type(after).__name__}.")
    taken = after._modules.keys()
    if type(after).forward is nn.Sequential.forward:
        key = next(key for key in map(str, range(len(taken), 2 * len(taken) + 1)) if key not in taken)
        return key, [Assignment(Place(after, key), module)]
    names = ("inserted" if number == 0 else f"inserted_{number}" for number in range(len(taken) + 1))
    key = next(key for key in names if not hasattr(after, key))
    return key, [Assignment(Place(after, key), module), Hook(after, partial(run_inserted, key))]


def replacement(names: Names, name: str, module: nn.Module) -> list[Assignment]:
    """The changes that put a module in the place of another, under all its names."""
    old = names.submodule(name)
    places = [alias.rpartition(".") for alias in names.order if alias and names.module.get_submodule(alias) is old]
    return [Assignment(Place(names.module.get_submodule(parent), key), module) for parent, _, key in places]


def group_for(
    parameter: Tensor,
    name: str,
    like: str,
    tensors: Mapping[str, Tensor],
    order: Mapping[str, int],
    optimizers: Sequence[Optimizer],
    group: dict[str, Any] | None = None,
) -> tuple[Optimizer, dict[str, Any]]:
    """The param group that a new parameter joins: that of the parameter of the layer ``like`` that is most like it.

    A parameter of several dims is like others of several dims (groups without weight decay are made so), then like
    those of its own last name. Where the layer trains none of several dims, or none of one, the nearest layer before
    it counts that does, then the nearest after it.

    Args:
        parameter: the new one.
        name: its qualified name.
        like: the name of the layer.
        tensors: the model's tensors by name.
        order: the place of every module in the model.
        optimizers: where to look.
        group: the one it joins instead.

    Raises:
        EditError: no group trains anything of the model and takes such a parameter.
        ArgumentError: ``group`` is none of the optimizers'.
    """
    if group is not None:
        for optimizer in optimizers:
            if any(own is group for own in optimizer.param_groups):
                return optimizer, group
        raise ArgumentError("group must be one of the optimizers' own param groups, not a dict beside them.")
    options = []
    end = max(place for layer, place in order.items() if _is_inside(layer, like))
    for other, tensor in tensors.items():
        layer, _, key = other.rpartition(".")
        distance = end - order[layer]
        flat = (tensor.dim() > 1) != (parameter.dim() > 1)
        unlike = (flat, not _is_inside(layer, like), key != name.rpartition(".")[2])
        for number, optimizer in enumerate(optimizers):
            found = home(optimizer, tensor)
            if found and (parameter.dim() == 2 or type(optimizer).__name__ != "Muon"):
                options.append(((*unlike, distance < 0, abs(distance)), number, found[0]))
    if not options:
        raise EditError(f"{name} finds no param group beside it; say which with group.")
    _, number, chosen = min(options, key=lambda option: option[0])
    return optimizers[number], chosen


def _is_inside(layer: str, outer: str) -> bool:
    return not outer or f"{layer}.".startswith(f"{outer}.")
