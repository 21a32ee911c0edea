"""What edits hold, as JSON has it: tensors, layers, and tensors by name."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from netsculpt.edit.layers import from_spec, to_spec
from netsculpt.errors import ArgumentError

READABLE = 256  # real numbers up to which a tensor is a list; as text float32 takes five times its memory


def to_plain(value: Any, state: bool) -> Any:
    """A value as JSON has it; ``state``: with the parameters of a layer.

    A tensor is a (nested) list of numbers; where it is empty, of complex numbers or of many real ones it is its bytes
    in base64, row-major and little-endian. Both give every bit back.
    """
    if isinstance(value, Tensor):
        large = value.is_floating_point() and value.numel() > READABLE
        return _packed(value) if large or value.is_complex() or not value.numel() else _listed(value)
    if isinstance(value, nn.Module):
        return {"layer": to_spec(value, state)}
    if isinstance(value, Mapping):
        return {"slices": {name: to_plain(part, state) for name, part in value.items()}}
    return value


def from_plain(value: Any) -> Any:
    """The value that ``to_plain`` described.

    Raises:
        ArgumentError: it is no such description.
    """
    if not isinstance(value, Mapping):
        return value
    if "tensor" in value:
        return torch.tensor(value["tensor"], dtype=getattr(torch, value["dtype"]))
    if "bytes" in value:
        return _unpacked(value)
    if "layer" in value:
        return from_spec(value["layer"])
    return {name: from_plain(part) for name, part in value["slices"].items()}


def _listed(tensor: Tensor) -> dict[str, Any]:
    return {"tensor": tensor.tolist(), "dtype": str(tensor.dtype).removeprefix("torch.")}


def _packed(tensor: Tensor) -> dict[str, Any]:
    raw = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().flatten().view(torch.uint8).numpy().tobytes()
    kind = str(tensor.dtype).removeprefix("torch.")
    return {"bytes": base64.b64encode(raw).decode("ascii"), "dtype": kind, "shape": list(tensor.shape)}


def _unpacked(data: Mapping[str, Any]) -> Tensor:
    kind, shape = getattr(torch, data["dtype"]), data["shape"]
    try:
        raw = bytearray(base64.b64decode(data["bytes"], validate=True))
        flat = torch.frombuffer(raw, dtype=kind) if raw else torch.empty(0, dtype=kind)
        return flat.reshape(shape)
    except (ValueError, RuntimeError) as error:
        raise ArgumentError(f"the bytes of a tensor must be base64 for {shape} of {data['dtype']}: {error}") from None
