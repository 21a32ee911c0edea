"""A model as a program of ATen operations: torch.export, asked so that most models answer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from netsculpt.errors import ArgumentError, GraphError
from netsculpt.graph.source import blame
from netsculpt.graph.untouched import no_messages, tracing_mode


class Inputs(NamedTuple):
    """Example inputs as ``model(*args, **kwargs)`` takes them."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Program(NamedTuple):
    """A traced model.

    Attributes:
        exported: shares the model's own parameters.
        dynamic_batch: whether the first dimension of the inputs may be any size, or is fixed.
        inputs: the example inputs that the model was traced with.
    """

    exported: ExportedProgram
    dynamic_batch: bool
    inputs: Inputs


def as_inputs(example_inputs: Any, kwargs: Mapping[str, Any] | None = None) -> Inputs:
    """A tensor, a tuple or list of arguments, or a dict of keyword arguments, as (args, kwargs).

    Raises:
        ArgumentError: it is none of these.
    """
    if isinstance(example_inputs, Tensor):
        return Inputs((example_inputs,), dict(kwargs or {}))
    if isinstance(example_inputs, Mapping):
        return Inputs((), {**example_inputs, **(kwargs or {})})
    if isinstance(example_inputs, (tuple, list)):
        return Inputs(tuple(example_inputs), dict(kwargs or {}))
    if example_inputs is None and kwargs:
        return Inputs((), dict(kwargs))
    raise ArgumentError(f"example_inputs must be a tensor, a tuple or a dict, not {type(example_inputs).__name__}")


def export(model: nn.Module, inputs: Inputs) -> Program:
    """Trace ``model`` in eval mode, in which it is not left if it was training; nothing is computed for real.

    Raises:
        GraphError: torch cannot trace the model, with its reason.
    """
    try:
        with tracing_mode(model), no_messages():
            return _any_batch(model, inputs) or Program(_export(model, inputs, None), False, inputs)
    except Exception as error:
        raise GraphError(_sentence(model, error)) from error


def _any_batch(model: nn.Module, inputs: Inputs) -> Program | None:
    """The program for any batch size; None where the model or the inputs tie it down."""
    sizes = {leaf.shape[0] for leaf in pytree.tree_leaves(tuple(inputs)) if isinstance(leaf, Tensor) and leaf.dim()}
    if len(sizes) != 1 or sizes <= {0, 1}:  # torch.export takes 0 and 1 for sizes of their own
        return None
    shapes = pytree.tree_map(_first_any, (inputs.args, inputs.kwargs))
    named: Sequence[Any] | dict[str, Any] = shapes[0] if not inputs.kwargs else _by_name(model, inputs, shapes)
    try:
        exported = _export(model, inputs, named)
    except Exception:
        return None
    batch = [node for node in exported.graph.nodes if node.op == "placeholder"]
    symbolic = any(
        isinstance(size, torch.SymInt) for node in batch for size in getattr(node.meta.get("val"), "shape", ())
    )
    return Program(exported, symbolic, inputs)


def _first_any(leaf: Any) -> dict[int, Any] | None:
    return {0: Dim.AUTO} if isinstance(leaf, Tensor) and leaf.dim() else None


def _by_name(model: nn.Module, inputs: Inputs, shapes: tuple[Any, Any]) -> dict[str, Any]:
    import inspect

    names = list(inspect.signature(model.forward).parameters)
    return dict(zip(names, shapes[0], strict=False)) | shapes[1]


def _export(model: nn.Module, inputs: Inputs, shapes: Any) -> ExportedProgram:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what export warns about (assigned buffers, pytrees) is not the user's to mend
        return torch.export.export(model, inputs.args, inputs.kwargs, dynamic_shapes=shapes, strict=False)


def _sentence(model: nn.Module, error: Exception) -> str:
    return (
        f"{type(model).__name__} cannot be traced: {blame(error)} - check that model(*args, **kwargs)"
        " runs with these example inputs, and that no branch depends on the values of a tensor"
    )
