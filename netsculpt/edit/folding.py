"""Units that always answer the same: what they add goes into the biases of the layers that use them.

A unit whose incoming weights are zero, say, still answers its bias through a norm and an activation. Removing it takes
a constant away from every consumer; with ``Prune(..., fold=True)`` the consumers' biases give it back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from netsculpt.edit.drafts import Draft
from netsculpt.edit.transaction import Transaction
from netsculpt.errors import EditError
from netsculpt.graph import Gather, Graph
from netsculpt.graph.axes import layer_of
from netsculpt.graph.positions import labels
from netsculpt.graph.untouched import tracing_mode
from netsculpt.graph.verify import outputs_of

SAME = 1e-5  # how far answers may lie apart, relative to the largest answer of the layer, and count as one constant


def fold(transaction: Transaction, graph: Graph, drafts: Mapping[str, Draft]) -> None:
    """Put what the removed units of folding drafts always add into the consumers' biases, before axes change.

    Raises:
        EditError: a removed unit does not answer the same everywhere, or a consumer has no bias that could hold it.
    """
    for each in drafts.values():
        if not each.folds:
            continue
        units = set(each.change.units.tolist())
        removed = torch.tensor([unit for unit in range(each.axis.size) if unit not in units], dtype=torch.int64)
        if len(removed):
            _fold(transaction, graph, each, removed)


@torch.no_grad()
def _fold(transaction: Transaction, graph: Graph, each: Draft, removed: Tensor) -> None:
    model = transaction.model
    weights = list(dict.fromkeys((place.tensor, place.dim) for place in each.axis.consumers))
    layers = {name: _consumer(model, name, each) for name, _ in weights}
    with _inputs_of(layers.values()) as seen, tracing_mode(model), torch.random.fork_rng(devices=[]):
        outputs_of(model, graph.inputs)
    for name, dim in weights:
        layer = layers[name]
        unit = labels(graph.tensors[name][dim], each.axis.term.find(), {})
        entries = torch.isin(unit, removed).nonzero()[:, 0]
        constant = _constant(seen[layer], entries, layer, each)
        weight = layer.weight.movedim(dim, 0)[entries.to(layer.weight.device)]
        added = (weight * constant.reshape(-1, *[1] * (weight.dim() - 1))).sum(0).reshape(weight.shape[1], -1).sum(1)
        if isinstance(layer, _ConvNd) and any(map(bool, _padding(layer))) and bool((constant != 0).any()):
            why = "its padding is zeros, so the constant is not the same at the borders"
            raise EditError(f"{layer_of(name)} cannot take over a constant of {each.axis.name!r}: {why}")
        bias = layer.bias
        assert bias is not None
        transaction.replace(f"{layer_of(name)}.bias", Gather({}), bias.detach() + added.to(bias))


def _consumer(model: nn.Module, name: str, each: Draft) -> Any:
    layer = model.get_submodule(name.rpartition(".")[0])
    plain = isinstance(layer, nn.Linear) or (isinstance(layer, _ConvNd) and layer.groups == 1)
    if not plain or isinstance(layer, _ConvTransposeNd) or not name.endswith(".weight"):
        kind = type(layer).__name__
        raise EditError(
            f"{layer_of(name)}, a {kind}, cannot take over a constant of {each.axis.name!r}: fold is for "
            "linear layers and plain convolutions"
        )
    if layer.bias is None:
        raise EditError(f"{layer_of(name)} has no bias to take over a constant of {each.axis.name!r}")
    return layer


@contextmanager
def _inputs_of(layers: Any) -> Iterator[dict[nn.Module, list[Tensor]]]:
    seen: dict[nn.Module, list[Tensor]] = {layer: [] for layer in layers}
    hooks = [
        layer.register_forward_pre_hook(lambda layer, args: seen[layer].append(args[0].detach())) for layer in seen
    ]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _padding(layer: _ConvNd) -> Sequence[int]:
    if isinstance(layer.padding, str):
        return [0] if layer.padding == "valid" else [size - 1 for size in layer.kernel_size]
    return list(layer.padding)


def _constant(seen: Sequence[Tensor], entries: Tensor, layer: nn.Module, each: Draft) -> Tensor:
    """[entries] what the layer's inputs are there, always."""
    if not seen:
        raise EditError(f"a layer that uses {each.axis.name!r} is never called, so its inputs cannot be seen")
    channel = -1 if isinstance(layer, nn.Linear) else 1
    rows = torch.cat([x.movedim(channel, 0).flatten(1) for x in seen], 1)
    chosen = rows[entries.to(rows.device)]
    spread = (chosen.amax(1) - chosen.amin(1)).max()
    if float(spread) > SAME * float(rows.abs().max()):
        raise EditError(
            f"units of {each.axis.name!r} that are to be folded answer differently, by up to {float(spread):.2g}"
        )
    return chosen.mean(1)
