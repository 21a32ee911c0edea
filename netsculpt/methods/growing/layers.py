"""Residual layers as candidates: where they can stand, and what they are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import activation
from torch.nn.utils import skip_init

from netsculpt.arguments import is_number
from netsculpt.edit import InsertLayer
from netsculpt.edit.residual import Residual
from netsculpt.errors import ArgumentError
from netsculpt.graph import Graph
from netsculpt.graph.untouched import tracing_mode

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def candidates(model: nn.Module, graph: Graph, units: float, after: Iterable[str] | None = None) -> list[InsertLayer]:
    """Residual layers that are the identity, one for every place.

    Args:
        model: as ``graph`` describes it; not changed.
        graph: of the model.
        units: hidden units of a layer, as a share of the width that it reads; at least one.
        after: names of the layers to insert behind; those of ``places`` by default.

    Raises:
        ArgumentError: ``units`` is no share, or a layer in ``after`` is not there, or gives nothing that a residual
            layer could take.
    """
    if not is_number(units) or units <= 0:
        raise ArgumentError(f"layer_units must be a share above 0, not {units!r}")
    if after is not None and (isinstance(after, str) or not isinstance(after, Iterable)):
        raise ArgumentError(f"after must be several names of layers, such as ['features.1'], or None, not {after!r}")
    found = _outputs(model, graph)[0]
    normed = any(isinstance(each, (nn.BatchNorm2d, nn.LayerNorm)) for each in model.modules())
    layers = []
    for name in places(model, graph) if after is None else dict.fromkeys(after):
        if name not in found:
            raise ArgumentError(
                f"after names {name!r}, which is no layer that runs once and gives one tensor of 2 to 4 dimensions"
            )
        layers.append(InsertLayer(name, residual(found[name], units, normed), exact=False))
    return layers


def places(model: nn.Module, graph: Graph) -> list[str]:
    """The layers behind which new ones may stand.

    They are activations, and blocks in a ``Sequential`` or ``ModuleList``, that run once and whose output goes on
    inside the model.
    """
    found, outputs = _outputs(model, graph)
    names: list[str] = []
    for name, module in model.named_modules():
        if name not in found or found[name].data_ptr() in outputs or type(module) in CONTAINERS:
            continue
        parent = model.get_submodule(name.rpartition(".")[0])
        block = isinstance(parent, CONTAINERS) and any(True for _ in module.children())
        if block or (type(module).__module__ == activation.__name__ and not list(module.parameters())):
            names.append(name)
    return names


def residual(like: Tensor, units: float, normed: bool) -> Residual:
    """A residual layer for outputs like ``like`` whose weights are all zero: values come from elsewhere.

    Args:
        like: [n, channels, height, width] for 3×3 convolutions; [n, features] or [n, tokens, features] for linear ones.
        units: hidden units, as a share of the channels or features.
        normed: batch norms behind the first convolution, or before a linear one of tokens a norm of each, without
            weights of its own.
    """
    width = like.shape[1] if like.dim() == 4 else like.shape[-1]
    hidden = max(1, round(units * width))
    layers: list[nn.Module]
    if like.dim() == 4:
        norm = [nn.BatchNorm2d(hidden)] if normed else []
        make: Any = lambda i, o: skip_init(nn.Conv2d, i, o, 3, padding=1, bias=False)  # noqa: E731 - used twice
        layers = [make(width, hidden), *norm, nn.ReLU(), make(hidden, width)]
    else:
        norms = [nn.LayerNorm(width, elementwise_affine=False)] if normed and like.dim() == 3 else []
        layers = [
            *norms,
            skip_init(nn.Linear, width, hidden),
            nn.GELU() if norms else nn.ReLU(),
            skip_init(nn.Linear, hidden, width, bias=False),
        ]
    with torch.no_grad():
        for each in layers:
            if isinstance(each, (nn.Conv2d, nn.Linear)):
                for parameter in each.parameters():
                    parameter.zero_()
    return Residual(*layers).to(like.device, like.dtype)


def _outputs(model: nn.Module, graph: Graph) -> tuple[dict[str, Tensor], set[int]]:
    """What modules give that run once, and where the model's own outputs lie."""
    calls: dict[str, list[Any]] = {}
    hooks = [
        module.register_forward_hook(lambda _, __, out, name=name: calls.setdefault(name, []).append(out))
        for name, module in model.named_modules()
        if name
    ]
    inputs = graph.inputs
    try:
        with tracing_mode(model), torch.no_grad():
            answer = model(*inputs.args, **inputs.kwargs)
    finally:
        for hook in hooks:
            hook.remove()
    found = {
        name: outs[0]
        for name, outs in calls.items()
        if len(outs) == 1 and isinstance(outs[0], Tensor) and outs[0].is_floating_point() and 2 <= outs[0].dim() <= 4
    }
    leaves = torch.utils._pytree.tree_leaves(answer)
    return found, {leaf.data_ptr() for leaf in leaves if isinstance(leaf, Tensor)}
