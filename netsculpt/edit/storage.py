"""Save a sculpted model and load it elsewhere: tensors and a record of the edits, no pickled code.

A file holds the tensors of the state dict in the safetensors format, and in its metadata the history as JSON: what a
model fresh from its constructor has to become before the tensors fit.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netsculpt.edit.edits import InsertLayer, RemoveLayer, from_data
from netsculpt.edit.history import Step, history, remember
from netsculpt.edit.transaction import Transaction
from netsculpt.edit.wrappers import unwrapped
from netsculpt.errors import ArgumentError, EditError
from netsculpt.graph import Gather

FORMAT = 1


def save(model: nn.Module, path: str | Path) -> None:
    """Write a model's state dict and its history to one safetensors file.

    Args:
        model: edited or not; only its state dict and history are written, never its class.
        path: of the file, which is replaced as a whole or not at all.

    Raises:
        EditError: the state dict holds something that is no ordinary tensor, the history a layer that is not of
            torch.nn, or the file cannot be written.
    """
    inner = unwrapped(model)
    records = history(inner).records
    for layer in (layer for record in records for layer in record["layers"]):
        if "refused" in layer:
            raise EditError(f"the model cannot be saved: {layer['refused']}")
    tensors, same = _distinct(inner.state_dict() | _edited_outside(inner, records))
    metadata = {"format": FORMAT, "history": records, "same": same}
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        _safetensors().torch.save_file(tensors, str(partial), metadata={"netsculpt": json.dumps(metadata)})
        partial.replace(path)
    except (_safetensors().SafetensorError, OSError, KeyError) as error:
        raise EditError(f"{path} cannot be written: {type(error).__name__}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def load(build_fn: Callable[[], nn.Module], path: str | Path) -> nn.Module:
    """The model that ``save`` wrote: built fresh, given its sizes and layers, and filled.

    Args:
        build_fn: makes the model as it was before all edits; its weights do not matter.
        path: of the file.

    Returns:
        A new model with the saved tensors, on the devices and in the mode in which ``build_fn`` makes it; its dtype is
        the saved one. Its history goes on, but cannot be undone.

    Raises:
        EditError: the file is not there or not ours, or does not fit what ``build_fn`` makes; in a sentence.
    """
    metadata, tensors = _read(Path(path))
    model = build_fn()
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"build_fn must return a torch.nn.Module, not {type(model).__name__}")
    if len(history(model)):
        raise ArgumentError("build_fn must return the model as it was before all edits, not a sculpted one")
    try:
        for record in metadata["history"]:
            resize(model, record)
    except (AttributeError, KeyError, EditError, ArgumentError) as error:
        raise EditError(f"{path} does not fit {type(model).__name__}: {error}") from error
    tensors |= {alias: tensors[first] for alias, first in metadata["same"].items()}
    outside = _edited_outside(model, metadata["history"])
    _fill(model, {name: tensor for name, tensor in tensors.items() if name not in outside}, path)
    for name, buffer in outside.items():
        owner, _, key = name.rpartition(".")
        setattr(model.get_submodule(owner), key, tensors[name].to(buffer.device))
    for record in metadata["history"]:
        remember(model, Step(record))
    return model


def resize(model: nn.Module, record: Mapping[str, Any]) -> None:
    """Give a model the shapes, attributes and layers that one step of a history led to; values are not kept."""
    tensors = dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))
    with Transaction(model) as transaction:
        done: set[int] = set()
        for name, shape in record["shapes"].items():
            if name not in tensors:
                raise EditError(f"it has no {name}")
            if id(tensors[name]) not in done:
                done.add(id(tensors[name]))
                transaction.replace(name, _stretched(tensors[name], shape, name))
        for module, attribute, value in record["attributes"]:
            transaction.set_attribute(module, attribute, tuple(value) if isinstance(value, list) else value)
        for layer in record["layers"]:
            edit = from_data(layer)
            if isinstance(edit, InsertLayer):
                transaction.insert_module(edit.after, edit.module)
            elif isinstance(edit, RemoveLayer):
                transaction.replace_module(edit.name, nn.Identity())


def _stretched(tensor: Tensor, shape: Sequence[int], name: str) -> Gather:
    if tensor.dim() != len(shape):
        raise EditError(f"its {name} has {tensor.dim()} dimensions, not {len(shape)}")
    changed = {dim: size for dim, size in enumerate(shape) if size != tensor.shape[dim]}
    return Gather({dim: torch.arange(size).clamp(max=tensor.shape[dim] - 1) for dim, size in changed.items()})


def _edited_outside(model: nn.Module, records: Sequence[Mapping[str, Any]]) -> dict[str, Tensor]:
    """Buffers that edits changed although the state dict leaves them out, such as a rotary embedding's frequencies."""
    kept = model.state_dict().keys()
    changed = {name for record in records for name in (*record["shapes"], *record.get("assigned", ()))} - kept
    return {name: buffer for name, buffer in model.named_buffers(remove_duplicate=False) if name in changed}


def _distinct(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Contiguous tensors by name, and for those that are the same tensor as another one, its name.

    What lies in memory with another tensor is copied, and nothing else: the format knows no views.
    """
    tensors: dict[str, Tensor] = {}
    same: dict[str, str] = {}
    seen: dict[tuple[Any, ...], str] = {}
    memory: set[int] = set()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise EditError(
                f"the model cannot be saved: {name} in its state dict is a {type(value).__name__}, no tensor"
            )
        if value.layout != torch.strided or value.is_meta:
            kind = "meta" if value.is_meta else str(value.layout).removeprefix("torch.")
            raise EditError(f"the model cannot be saved: {name} in its state dict is a {kind} tensor")
        key = (value.untyped_storage().data_ptr(), value.storage_offset(), value.shape, value.stride(), value.dtype)
        if value.numel() and key in seen:
            same[name] = seen[key]
            continue
        seen[key] = name
        tensor = value.detach().contiguous()
        tensors[name] = tensor.clone() if tensor.untyped_storage().data_ptr() in memory else tensor
        memory.add(tensor.untyped_storage().data_ptr())
    return tensors, same


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise EditError(f"there is no file {path}")
    try:
        with _safetensors().safe_open(str(path), framework="pt") as file:
            text = (file.metadata() or {}).get("netsculpt")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
        metadata = json.loads(text) if text else None
    except (_safetensors().SafetensorError, ValueError) as error:
        raise EditError(f"{path} is not a safetensors file: {error}") from error
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise EditError(f"{path} was not written by netsculpt.save, or by a version with another format")
    return metadata, tensors


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    there = model.state_dict()
    for what, names in (("lacks", there.keys() - tensors.keys()), ("holds also", tensors.keys() - there.keys())):
        if names:
            shown = ", ".join(sorted(names)[:3])
            raise EditError(f"{path} does not fit {type(model).__name__}: it {what} {shown}")
    for name, tensor in tensors.items():
        if there[name].is_meta:
            raise EditError(f"build_fn must make {name} on a device that holds values, not on meta")
        if tensor.shape != there[name].shape:
            sizes = f"{list(tensor.shape)}, not {list(there[name].shape)}"
            raise EditError(f"{path} does not fit {type(model).__name__}: {name} is {sizes}")
    with torch.no_grad():
        for name, tensor in _tensors(model).items():
            if tensor.dtype != tensors[name].dtype:
                tensor.data = tensor.data.to(tensors[name].dtype)
    model.load_state_dict(dict(tensors))


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    """The very tensors behind the state dict."""
    kept = model.state_dict(keep_vars=True)
    return {name: tensor for name, tensor in kept.items() if isinstance(tensor, Tensor)}


def _safetensors() -> Any:
    """The package, looked for when it is needed: all else runs without it."""
    try:
        import safetensors.torch
    except ImportError as error:
        raise EditError("saving and loading need the package safetensors: pip install safetensors") from error
    return safetensors
