"""What every task has for itself: norms with their statistics, other buffers, and the head."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from netsculpt.errors import ArgumentError
from netsculpt.graph import Graph, untouched
from netsculpt.graph.axes import layer_of

OUTPUT = "it is an output of the model"


def heads_of(model: nn.Module, graph: Graph, private: Iterable[str] | None) -> tuple[str, ...]:
    """Names of the modules that every task has for itself: ``private``, or the layers that make the outputs.

    Raises:
        ArgumentError: a name is not a module's, or no layer can be told to make the outputs.
    """
    if isinstance(private, str):
        raise ArgumentError(f"private must be several names of modules, such as ({private!r},), not one string")
    if private is not None and not isinstance(private, Iterable):
        raise ArgumentError(f"private must be several names of modules, or None, not {private!r}")
    known = dict(model.named_modules())
    if private is not None:
        names = tuple(private)
        for name in names:
            if name not in known or not name:
                raise ArgumentError(f"private names {name!r}, which is no module of the model")
        return names
    found = [layer_of(place.tensor) for axis in graph if axis.frozen == OUTPUT for place in axis.producers]
    names = tuple(dict.fromkeys(name for name in found if name in known and name))
    if not names:
        raise ArgumentError("private must name the head: no layer of the model makes its outputs alone")
    return names


def private_names(model: nn.Module, heads: Iterable[str]) -> frozenset[str]:
    """Names of the parameters and buffers that every task has for itself.

    Raises:
        ArgumentError: one of them is tied to a parameter that tasks share.
    """
    owners = [path for path, module in model.named_modules() if is_norm(module)]
    inside = tuple(f"{path}." for path in (*heads, *owners))
    named = list(model.named_parameters(remove_duplicate=False))
    parameters = {name: each for name, each in named if name.startswith(inside)}
    own = {id(each): name for name, each in parameters.items()}
    for name, each in named:
        if name not in parameters and id(each) in own:
            raise ArgumentError(f"private must leave out {own[id(each)]}: it is tied to {name}, which tasks share")
    return frozenset(parameters.keys() | {name for name, _ in model.named_buffers(remove_duplicate=False)})


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a norm: by its name, since every library has norms of its own."""
    return "norm" in type(module).__name__.lower() and not list(module.children())


def outlet(model: nn.Module, graph: Graph, heads: Iterable[str]) -> str | None:
    """The private linear layer or convolution that makes the outputs, whose width is the number of classes."""
    inside = tuple(f"{path}." for path in heads)
    for axis in graph:
        for place in axis.producers if axis.frozen == OUTPUT else ():
            name = layer_of(place.tensor)
            if f"{name}.".startswith(inside) and isinstance(model.get_submodule(name), (nn.Linear, nn.Conv2d)):
                return name
    return None


def renew(model: nn.Module, heads: Iterable[str], outlet: str | None, classes: int | None) -> None:
    """Give a model new heads, with initial weights and the given number of classes, in place.

    Raises:
        ArgumentError: the number of classes cannot be changed.
    """
    if outlet is None and classes is not None:
        raise ArgumentError("classes must be None: the model's outputs are not made by a private linear layer")
    for path in heads:
        for name, module in model.get_submodule(path).named_modules(prefix=path):
            if classes is not None and name == outlet:
                set_width(module, classes)
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()


def set_width(layer: nn.Module, width: int) -> None:
    """Give a linear layer or convolution so many outputs, in place; its weights are not set."""
    parameters = dict(layer.named_parameters(recurse=False))
    for name, parameter in parameters.items():
        own = nn.Parameter(parameter.detach().new_zeros(width, *parameter.shape[1:]), parameter.requires_grad)
        setattr(layer, name, own)
    setattr(layer, width_of(layer)[0], width)


def width_of(layer: nn.Module) -> tuple[str, int]:
    """The attribute that says how many outputs a linear layer or convolution has, and how many these are."""
    name = "out_features" if isinstance(layer, nn.Linear) else "out_channels"
    return name, getattr(layer, name)


def state_of(model: nn.Module, names: Iterable[str]) -> dict[str, Tensor]:
    """Copies of the named tensors that a model has."""
    tensors = tensors_of(model)
    return {name: tensors[name].detach().clone() for name in sorted(names) if name in tensors}


def install(model: nn.Module, state: Mapping[str, Tensor], outlet: str | None) -> None:
    """Put private tensors into a model of their sizes, in place; the outlet gets their number of classes."""
    if outlet is not None:
        set_width(model.get_submodule(outlet), len(state[f"{outlet}.weight"]))
    tensors = tensors_of(model)
    for name, value in state.items():
        tensors[name].data = value.clone().to(tensors[name].device)


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name, tied ones by each."""
    return dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))


def copied(model: nn.Module) -> nn.Module:
    """A copy without gradients."""
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    own = untouched.copied(model)
    own.zero_grad(set_to_none=True)
    return own
