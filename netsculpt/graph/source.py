"""What a traced node is and where it comes from: arguments, shapes, module path, source line."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import SymInt, Tensor, fx

_INTERNAL = re.compile(r"[/\\\\](torch|netsculpt|contextlib\.py|functools\.py|<)")  # frames that are not the user's
FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)\n\s*(?P<code>[^\n]*)')
UNKNOWN_SIZE = 97


def size_hint(size: Any) -> int:
    """A size as a number: what it is for the example inputs where it is symbolic.

    ``UNKNOWN_SIZE`` stands for a number that depends on the values of tensors, such as how many entries a mask has.
    """
    if not isinstance(size, SymInt):
        return int(size)
    if size.node.hint is None:
        return int(size.node.expr.subs(dict.fromkeys(size.node.expr.free_symbols, UNKNOWN_SIZE)))
    return int(size.node.hint)


def sizes_of(node: fx.Node) -> list[tuple[int, ...]]:
    """The shapes of a node's tensor outputs."""
    value = node.meta.get("val")
    values = value if isinstance(value, (list, tuple)) else (value,)
    return [tuple(map(size_hint, item.shape)) for item in values if isinstance(item, Tensor)]


def named_arguments(node: fx.Node, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by the names of the operation's schema, defaults filled in."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return {str(number): item for number, item in enumerate(args)} | dict(kwargs)
    named = {}
    for number, argument in enumerate(node.target._schema.arguments):
        if number < len(args):
            named[argument.name] = args[number]
        elif argument.name in kwargs:
            named[argument.name] = kwargs[argument.name]
        else:
            named[argument.name] = argument.default_value
    return named


def is_pointwise(target: torch._ops.OpOverload) -> bool:
    """Whether torch says so of any overload: it does not of all of them, nor of all in-place ones."""
    name = target._schema.name.split("::")[-1]
    packets = [target.overloadpacket, getattr(torch.ops.aten, name.rstrip("_"), None)]
    found = [getattr(packet, each) for packet in packets if packet is not None for each in packet.overloads()]
    return any(torch.Tag.pointwise in each.tags for each in found)


def modules_of(node: fx.Node) -> list[str]:
    """Paths of the modules whose forward contains the node, outermost first; the model itself is ''."""
    return [path for path, _ in (node.meta.get("nn_module_stack") or {}).values()]


def module_of(node: fx.Node) -> str:
    """Path of the innermost module whose forward contains the node."""
    return (modules_of(node) or [""])[-1]


def source_of(node: fx.Node) -> str:
    """Operation, module path and source line in one phrase."""
    operation = str(node.target).removesuffix(".default")
    module = module_of(node)
    inside = f"{operation} in {module}" if module else operation
    frames = FRAME.findall(node.meta.get("stack_trace") or "")
    own = [frame for frame in frames if "/torch/" not in frame[0]] or frames
    if not own:
        return inside
    file, line, _, code = own[-1]
    return f"{inside}, {file.rsplit('/', 1)[-1]}:{line} `{code.strip()}`"


def blame(error: BaseException) -> str:
    """An error in one line, with the last line of the user's code that led to it."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _INTERNAL.search(frame.filename)]
    place = f" ({frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].lineno} `{frames[-1].line}`)" if frames else ""
    return f"{type(error).__name__}: {said}{place}".replace(":  ", " ")
