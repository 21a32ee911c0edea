"""What one operation of a program does to units: moves, scales, bends or mixes them."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from netsculpt.graph.source import is_pointwise, named_arguments

# Every entry of the result is one entry of an operand.
REARRANGING = {
    "view", "reshape", "flatten", "unflatten", "permute", "transpose", "t", "unsqueeze", "squeeze", "clone",
    "contiguous", "alias", "to", "_to_copy", "dropout", "expand", "cat", "stack", "slice", "select", "chunk", "split",
    "split_with_sizes", "unbind", "getitem", "repeat", "movedim", "detach",
}  # fmt: skip
# Linear in every operand that depends on the unit, or locally so.
LINEAR = {
    "mean", "sum", "conv1d", "conv2d", "conv3d", "pad", "constant_pad_nd", "pixel_shuffle", "reflection_pad2d",
    "replication_pad2d", "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool2d", "amax", "im2col", "col2im",
}  # fmt: skip
# Of what is locally linear, what has kinks that no second derivative tells of.
MAXIMA = {"max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool2d", "amax", "max"}
# Of what rearranges, what leaves every entry in its place.
IN_PLACE = {"clone", "contiguous", "alias", "to", "_to_copy", "dropout", "detach"}
AFFINE = {"add", "sub", "neg", "rsub", "batch_norm", "_native_batch_norm_legit_no_training", "mul", "div", "subtract"}


def operation(node: fx.Node) -> str:
    """The ATen operation of a node without namespace, overload and trailing underscore."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return getattr(node.target, "__name__", str(node.target))
    name = node.target._schema.name.split("::")[-1]
    return name.rstrip("_") if not name.startswith("_") else name


def arguments_of(node: fx.Node) -> dict[str, Any]:
    """A node's arguments by the names of its operation's schema."""
    return named_arguments(node, node.args, node.kwargs)


def bends_units(node: fx.Node, inside: set[str]) -> bool:
    """Whether an operation is not linear in what depends on the unit."""
    name = operation(node)
    if name in REARRANGING or name in LINEAR or "avg_pool" in name or "upsample" in name or "interpolate" in name:
        return False
    depends = [each for each in node.all_input_nodes if each.name in inside]
    if name in ("mul", "div") and len(depends) == 1 and node.args[0] is not (node.args[1] if name == "mul" else None):
        return name == "div" and node.args[0] is not depends[0]
    return name not in AFFINE or name in ("mul", "div")


def by_entry(node: fx.Node) -> bool:
    """Whether every entry of the result depends on one entry of each operand."""
    name = operation(node)
    target = node.target
    pointwise = isinstance(target, torch._ops.OpOverload) and is_pointwise(target)
    return pointwise or name in REARRANGING or name in AFFINE


def written_by(node: fx.Node) -> str | None:
    """The name of the operand that an operation writes in place."""
    if not isinstance(node.target, torch._ops.OpOverload) or not node.args or not isinstance(node.args[0], fx.Node):
        return None
    alias = node.target._schema.arguments[0].alias_info
    return node.args[0].name if alias is not None and alias.is_write else None
