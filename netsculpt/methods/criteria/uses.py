"""What a model does with each of its parameters, as its program tells."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

from torch import fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from netsculpt.graph import Graph
from netsculpt.measure.nodes import REARRANGING, arguments_of, operation

# Arguments that are added to what an operation computes of its other ones.
ADDED = {"addmm": "self", "baddbmm": "self", "addmv": "self"}
SUMS = {"add", "sub", "subtract"}
BATCH_NORMS = {"batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit"}


class Use(NamedTuple):
    """An operation that takes a parameter, and as which of its arguments."""

    operation: str
    argument: str

    @property
    def adds(self) -> bool:
        """Whether the parameter is only added to something."""
        return self.argument == "bias" or self.operation in SUMS or ADDED.get(self.operation) == self.argument

    @property
    def scales_a_batch_norm(self) -> bool:
        """Whether the parameter is a batch norm's γ."""
        return self.operation in BATCH_NORMS and self.argument == "weight"


_known: WeakKeyDictionary[ExportedProgram, dict[str, tuple[Use, ...]]] = WeakKeyDictionary()


def uses(graph: Graph) -> dict[str, tuple[Use, ...]]:
    """Parameter name, as in ``graph.tensors`` -> every use of it, seen through operations that only rearrange it."""
    program = graph.program.exported
    if program not in _known:
        first = {alias: name for name, aliases in graph.aliases.items() for alias in aliases}
        nodes = {node.name: node for node in program.graph.nodes}
        found: dict[str, tuple[Use, ...]] = {}
        for each in program.graph_signature.input_specs:
            if each.kind is InputKind.PARAMETER:
                name = first.get(str(each.target), str(each.target))
                found[name] = (*found.get(name, ()), *_uses(nodes[each.arg.name]))
        _known[program] = found
    return _known[program]


def _uses(node: fx.Node) -> Iterator[Use]:
    waiting = [node]
    while waiting:
        value = waiting.pop()
        for user in value.users:
            name = operation(user)
            if name in REARRANGING:
                waiting.append(user)
            elif user.op == "call_function":
                yield from (Use(name, argument) for argument, given in arguments_of(user).items() if _has(given, value))


def _has(given: object, value: fx.Node) -> bool:
    return given is value or (isinstance(given, (list, tuple)) and any(each is value for each in given))
