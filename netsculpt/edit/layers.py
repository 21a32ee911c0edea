"""Layers as data: the class in torch.nn, its constructor's arguments, and what it holds."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netsculpt.edit.residual import Residual
from netsculpt.errors import ArgumentError, EditError

OWN = {"Residual": Residual}  # beside those of torch.nn
SIMPLE = (bool, int, float, str, type(None))


def to_spec(module: nn.Module, state: bool = True) -> dict[str, Any]:
    """A layer of torch.nn, or an ``nn.Sequential`` or ``Residual`` of such, as data; ``state``: with what it holds.

    Raises:
        EditError: the layer is of another class, or its attributes do not say how it was made.
    """
    kind = type(module).__name__
    if _class(kind) is not type(module):
        raise EditError(f"{kind} is not a layer of torch.nn (or a Sequential of such), so it cannot be saved as data")
    if isinstance(module, nn.Sequential):
        return {"class": kind, "layers": {name: to_spec(child, state) for name, child in module.named_children()}}
    spec = {"class": kind, "arguments": _arguments(module), "state": {}}
    try:
        again = from_spec(spec)
    except Exception as error:
        raise EditError(f"{kind} does not show in its attributes how it was made: {error}") from error
    if (repr(again), _shapes(again)) != (repr(module), _shapes(module)):
        raise EditError(f"{kind} does not show in its attributes how it was made: {again} is not {module}")
    return {**spec, "state": _state(module) if state else {}}


def from_spec(spec: Mapping[str, Any]) -> nn.Module:
    """The layer that ``to_spec`` described; torch's random numbers go on as if nothing had been made.

    Raises:
        ArgumentError: it is no such description.
    """
    kind = _class(str(spec.get("class")))
    if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        raise ArgumentError(f"a layer must be of a class in torch.nn, not {spec.get('class')!r}")
    if "layers" in spec:
        return kind(OrderedDict((name, from_spec(child)) for name, child in spec["layers"].items()))
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in spec["arguments"].items()}
    with torch.random.fork_rng(devices=[]):  # the initial weights are another's, or nobody's
        module = kind(**arguments)
    state = {
        name: torch.tensor(each["tensor"], dtype=getattr(torch, each["dtype"])) for name, each in spec["state"].items()
    }
    for name, tensor in state.items():
        module.get_submodule(name.rpartition(".")[0]).to(tensor.dtype if tensor.is_floating_point() else None)
    module.load_state_dict(state, strict=bool(state))
    return module


def _class(name: str) -> Any:
    return OWN.get(name) or getattr(nn, name, None)


def _arguments(module: nn.Module) -> dict[str, Any]:
    """Constructor arguments, from the attributes of the same names; ``bias`` is kept as a tensor or None."""
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(type(module).__init__).parameters.items():
        if name in {"self", "device", "dtype"} or not hasattr(module, name):
            continue
        value = getattr(module, name)
        if name == "bias" and (value is None or isinstance(value, Tensor)):
            value = value is not None
        plain = isinstance(value, SIMPLE) or (
            isinstance(value, (tuple, list)) and all(isinstance(v, SIMPLE) for v in value)
        )
        if plain and value != parameter.default:
            found[name] = list(value) if isinstance(value, (tuple, list)) else value
    return found


def _shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def _state(module: nn.Module) -> dict[str, Any]:
    return {
        name: {"tensor": tensor.tolist(), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in module.state_dict().items()
    }
