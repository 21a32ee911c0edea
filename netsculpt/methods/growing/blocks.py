"""Layers of the grown copy as products of blocks: half of the work of the product with the whole grown weight.

A grown weight has blocks that are known: the two copies of an input weigh the same, so their mean is what the layer
reads, and a new unit gets nothing from another layer's new units. With m units and K candidates on both sides that is
m·(2m + K) + K·m products instead of (2m + K)².
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netsculpt.graph import Graph
from netsculpt.graph.gather import Gather
from netsculpt.methods.growing.groups import Group, Kind, Write


class Span(NamedTuple):
    """What a dimension consists of: entries that were there, perhaps a second copy of them, and new ones."""

    old: int
    copied: bool
    new: int

    @property
    def twice(self) -> int:
        """Entries of both copies."""
        return self.old * (1 + self.copied)


class Blocks(nn.Module):
    """A convolution or linear layer whose weight is given in blocks.

    Attributes:
        rows: [outputs with copies and new ones, old inputs, ...].
        columns: [old outputs, new inputs, ...]; None where no input is new.
        bias: of all outputs; None without.
    """

    rows: Tensor
    columns: Tensor | None
    bias: Tensor | None

    def __init__(self, layer: nn.Conv2d | nn.Linear, weight: Tensor, outs: Span, ins: Span) -> None:
        super().__init__()
        self._outs, self._ins = outs, ins
        self._settings: Any = (layer.stride, layer.padding, layer.dilation) if isinstance(layer, nn.Conv2d) else None
        parts = [weight] * (1 + outs.copied) + [weight.new_zeros(outs.new, *weight.shape[1:])]
        self.rows = nn.Parameter(torch.cat(parts), requires_grad=False)
        columns = weight.new_zeros(weight.shape[0], ins.new, *weight.shape[2:]) if ins.new else None
        self.register_buffer("columns", columns)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        """As the layer with the whole weight."""
        dim, ins, outs = x.dim() - 1 if self._settings is None else x.dim() - 3, self._ins, self._outs
        old = x.narrow(dim, 0, ins.old)
        if ins.copied:
            old = (old + x.narrow(dim, ins.old, ins.old)) * 0.5
        out = self._product(old, self.rows, self.bias)
        if self.columns is None:
            return out
        more = self._product(x.narrow(dim, ins.twice, ins.new), self.columns, None)
        parts = [out.narrow(dim, part * outs.old, outs.old) + more for part in range(1 + outs.copied)]
        return torch.cat([*parts, out.narrow(dim, outs.twice, outs.new)], dim) if outs.copied or outs.new else parts[0]

    def _product(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias) if self._settings is None else F.conv2d(x, weight, bias, *self._settings)


def in_blocks(
    net: nn.Module,
    graph: Graph,
    weights: Mapping[str, Tensor],
    gathers: Mapping[str, Gather],
    groups: Mapping[tuple[str, Kind], Group],
    whole: Sequence[str] = (),
) -> dict[str, nn.Module]:
    """Replace the layers of the grown copy that can be computed in blocks, and let the candidates' values go there.

    Args:
        net: the grown copy.
        graph: of the model.
        weights: its tensors before it grew.
        gathers: what growth did to them.
        groups: whose ``writes`` are changed.
        whole: paths of modules to leave as they are.

    Returns:
        Path of a replaced layer -> the layer.
    """
    found: dict[str, nn.Module] = {}
    for path, layer in list(net.named_modules()):
        name = f"{path}.weight"
        if path.startswith(tuple(f"{each}." for each in whole)):
            continue
        if not path or name not in gathers or not _plain(layer) or graph.aliases[name] != (name,):
            continue
        writes = [write for group in groups.values() for write in group.writes.get(name, [])]
        outs, ins = (_span(gathers[name], dim, weights[name].shape[dim]) for dim in (0, 1))
        if outs is None or ins is None or any(_beyond(write, outs, ins) for write in writes):
            continue
        assert isinstance(layer, (nn.Conv2d, nn.Linear))
        net.set_submodule(path, Blocks(layer, weights[name].detach(), outs, ins))
        found[path] = layer
        for group in groups.values():
            for write in group.writes.pop(name, []):
                target, moved = _into_blocks(write, path, ins)
                group.writes.setdefault(target, []).append(moved)
    return found


def _plain(layer: nn.Module) -> bool:
    if type(layer) not in (nn.Conv2d, nn.Linear) or layer._forward_hooks or layer._forward_pre_hooks:
        return False
    return not isinstance(layer, nn.Conv2d) or (layer.groups == 1 and layer.padding_mode == "zeros")


def _span(gather: Gather, dim: int, size: int) -> Span | None:
    """What a dimension has become; None where it is not in these blocks."""
    if dim not in gather.index:
        return Span(size, False, 0)
    index = gather.index[dim]
    copied = int((index >= 0).sum()) == 2 * size
    span = Span(size, copied, len(index) - size * (1 + copied))
    there = torch.arange(size)
    wanted = torch.cat([*[there] * (1 + copied), torch.full((span.new,), -1)])
    scale = gather.scale.get(dim)
    shares = torch.cat([torch.full((span.twice,), 0.5 if copied else 1.0), torch.ones(span.new)]).double()
    if not torch.equal(index, wanted) or (dim == 0 and scale is not None):
        return None
    return span if dim == 0 or torch.equal(shares if scale is None else scale, shares) else None


def _beyond(write: Write, outs: Span, ins: Span) -> bool:
    """Whether values do not lie in one block."""
    span, entries = (outs, write.at) if write.dim == 0 else (ins, write.at)
    if write.dim == 1:
        return int(entries.min()) < span.twice
    return write.dim != 0 or write.rest[0] != ins.old


def _into_blocks(write: Write, path: str, ins: Span) -> tuple[str, Write]:
    if write.dim == 0:
        return f"{path}.rows", write._replace(along={})
    return f"{path}.columns", write._replace(at=write.at - ins.twice, along={})
