"""Walk a program once, operation by operation, and let every rule say what it knows."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import SymBool, SymFloat, SymInt, Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

import netsculpt.graph.rules  # noqa: F401  # fills the table of rules
from netsculpt.graph.algebra import Algebra
from netsculpt.graph.call import Call
from netsculpt.graph.facts import Facts, Role, Value
from netsculpt.graph.makings import CONSTANT, UNKNOWN, parameter
from netsculpt.graph.registry import Outcome, find_rule
from netsculpt.graph.rules.elementwise import pointwise
from netsculpt.graph.source import is_pointwise, named_arguments, size_hint, sizes_of
from netsculpt.graph.terms import Term, leaf

STATE = {InputKind.PARAMETER, InputKind.BUFFER}
EFFECTS = ("_assert", "sym_constrain", "assert_", "_check", "profiler")


class Step(NamedTuple):
    """One operation of the program with what is known of its tensors: ``inputs`` are the terms of all operands."""

    node: fx.Node
    inputs: tuple[Term, ...]
    outputs: tuple[tuple[Term, ...], ...]


class Analysis:
    """The terms of every parameter and buffer of a program, and the facts about them.

    Attributes:
        tensors: name of each parameter or buffer -> its dimensions.
        parameters: those names that are parameters.
        batch: the terms that stand for the batch, where it may be any size.
        unknown: operations without a rule, with where they stand.
        steps: the operations that make tensors, in the order in which they run.
    """

    def __init__(self, exported: ExportedProgram) -> None:
        self.algebra = Algebra()
        self.facts = Facts()
        self.tensors: dict[str, tuple[Term, ...]] = {}
        self.parameters: set[str] = set()
        self.batch: list[Term] = []
        self.unknown: list[str] = []
        self.steps: list[Step] = []
        inputs = {spec.arg.name: spec for spec in exported.graph_signature.input_specs}
        by_identity: dict[int, str] = {}
        placeholders = {}
        for node in exported.graph.nodes:
            if node.op == "placeholder" and isinstance(node.meta.get("val"), Tensor):
                placeholders[node] = self._placeholder(node, inputs.get(node.name), exported, by_identity)
        outputs = self.run(exported.graph, placeholders, exported.graph_module)
        for value in pytree.tree_leaves(outputs):
            if isinstance(value, Value):
                for term in value.dims:
                    self.algebra.freeze(term, "it is an output of the model")

    def run(self, graph: fx.Graph, placeholders: Mapping[fx.Node, Any], owner: torch.nn.Module) -> Any:
        """Walk ``graph``; returns what its output node holds."""
        values: dict[fx.Node, Any] = dict(placeholders)
        views = _Views()
        for node in graph.nodes:
            if node.op == "call_function":
                values[node] = self._call(node, values, owner)
                for written in views.written_by(node):
                    if isinstance(values.get(written), Value):
                        values[written] = replace(values[written], made=UNKNOWN, summed=None)
            elif node.op == "get_attr":
                values[node] = self._constant(node, owner)
            elif node.op == "output":
                return pytree.tree_map(lambda item: _look_up(item, values), node.args[0])
        return None

    def _placeholder(self, node: fx.Node, spec: Any, exported: ExportedProgram, seen: dict[int, str]) -> Value:
        shape = sizes_of(node)[0]
        if spec is None or spec.kind not in STATE:
            constant = spec is not None and spec.kind is InputKind.CONSTANT_TENSOR
            why = "it is a constant of the program" if constant else "it is an input of the model"
            dims = tuple(leaf(size, frozen=why) for size in shape)
            if not constant:
                traced = node.meta["val"].shape
                self.batch.extend(term for term, size in zip(dims, traced, strict=True) if isinstance(size, SymInt))
            return Value(dims, constant=constant, made=CONSTANT)
        name = spec.target
        tensor = exported.state_dict.get(name)
        tensor = exported.constants.get(name) if tensor is None else tensor
        first = seen.setdefault(id(tensor) if tensor is not None else id(node), name)
        if spec.kind is InputKind.PARAMETER:
            self.parameters.add(first)
        dims = self.tensors.setdefault(first, tuple(map(leaf, shape)))
        made = parameter(first) if spec.kind is InputKind.PARAMETER else CONSTANT
        return Value(dims, True, frozenset({first}), tuple(range(len(dims))), made)

    def _constant(self, node: fx.Node, owner: torch.nn.Module) -> Any:
        found = getattr(owner, str(node.target))
        if isinstance(found, torch.nn.Module):
            return found
        dims = tuple(leaf(size, frozen="it is a constant of the program") for size in found.shape)
        return Value(dims, constant=True, made=CONSTANT)

    def _call(self, node: fx.Node, values: dict[fx.Node, Any], owner: torch.nn.Module) -> Any:
        if node.target is operator.getitem:
            source = _look_up(node.args[0], values)
            index: Any = node.args[1]
            return source[index] if isinstance(source, (list, tuple)) else None
        if not _makes_tensors(node) or _only_checks(node.target):
            return _scalar(node)
        args: Any = fx.node.map_arg(node.args, values.get)
        kwargs: Any = fx.node.map_arg(node.kwargs, values.get)
        if isinstance(node.target, torch._ops.HigherOrderOperator):
            return self._nested(node, args)
        call, known = Call(node, named_arguments(node, args, kwargs), self.algebra, self.facts), len(self.facts.roles)
        self.algebra.where = lambda: call.where
        result = self._outcome(call)
        self._follow(call, known)
        inputs = tuple(term for value in call.values() for term in value.dims)
        outputs = tuple(value.dims for value in (result if isinstance(result, list) else [result]))
        self.steps.append(Step(node, inputs, outputs))
        return result

    def _outcome(self, call: Call) -> Any:
        """What the operation's rule says; nothing that it touches may change where the rule fails."""
        try:
            result = _as_values(call, self._rule(call.node)(call))
            found = [tuple(term.size for term in value.dims) for value in (result if _several(call) else [result])]
            if found == call.shapes:
                return result
            failure = f"gives {found} instead of {call.shapes}"
        except Exception as error:
            failure = f"fails with {type(error).__name__}: {error}"
        return _as_values(call, self._refused(call, f"the rule of {_name(call.node)} {failure}"))

    def _follow(self, call: Call, known: int) -> None:
        """Parameters that play no other role in an operation follow the units of its result."""
        playing = {name for fact in self.facts.roles[known:] for name in fact.tensors}
        for value in call.values():
            if value.tensors and not value.tensors & playing and not all(each.constant for each in call.values()):
                for dim in range(len(value.dims)):
                    call.role(value, dim, Role.FOLLOWER)

    def _rule(self, node: fx.Node) -> Callable[[Call], Outcome]:
        if not isinstance(node.target, torch._ops.OpOverload):
            return self._refuse
        name = node.target._schema.name
        found = find_rule(name, node.target._schema.overload_name or "default")
        if found is not None:
            return found
        return pointwise if is_pointwise(node.target) else self._refuse

    def _refuse(self, call: Call) -> list[Value]:
        """An operation without a rule: nothing that it touches may change."""
        name = _name(call.node)
        return self._refused(call, f"{name} has no rule; netsculpt.graph.rule({name!r}) adds one")

    def _refused(self, call: Call, why: str) -> list[Value]:
        self.unknown.append(f"{why} ({call.where})")
        for value in call.values():
            call.freeze(value.dims, why)
        return [Value(tuple(leaf(size, frozen=f"{why} ({call.where})") for size in shape)) for shape in call.shapes]

    def _nested(self, node: fx.Node, args: Sequence[Any]) -> Any:
        """Operations that run a graph of their own, such as a block under torch.no_grad."""
        body = next((item for item in args if isinstance(item, fx.GraphModule)), None)
        if body is None:
            return self._refuse(Call(node, {str(k): item for k, item in enumerate(args)}, self.algebra, self.facts))
        operands = args[args.index(body) + 1 :]
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = operands[0]
        inner = [node for node in body.graph.nodes if node.op == "placeholder"]
        result = self.run(body.graph, dict(zip(inner, operands, strict=False)), body)
        return list(result) if isinstance(result, (list, tuple)) else result


class _Views:
    """Which nodes share memory, so that writing to one changes what the others are made of."""

    def __init__(self) -> None:
        self._base: dict[fx.Node, fx.Node] = {}
        self._views: dict[fx.Node, list[fx.Node]] = {}

    def written_by(self, node: fx.Node) -> list[fx.Node]:
        """The nodes before ``node`` that see what it writes in place."""
        first = node.args[0] if node.args else None
        if not isinstance(first, fx.Node):
            return []
        returns = node.target._schema.returns if isinstance(node.target, torch._ops.OpOverload) else ()
        alias = returns[0].alias_info if returns else None
        if alias is None and node.target is not operator.getitem:
            return []
        base = self._base.get(first, first)
        seen = [base, *self._views.get(base, [])] if alias is not None and alias.is_write else []
        self._base[node] = base
        self._views.setdefault(base, []).append(node)
        return seen


def _name(node: fx.Node) -> str:
    """The operation as ``rule`` takes it."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload):
        return getattr(target, "__name__", str(target))
    overload = target._schema.overload_name
    return f"{target._schema.name}.{overload}" if overload else target._schema.name


def _several(call: Call) -> bool:
    return isinstance(call.node.meta["val"], (list, tuple))


def _makes_tensors(node: fx.Node) -> bool:
    value = node.meta.get("val")
    return any(isinstance(each, Tensor) for each in (value if isinstance(value, (list, tuple)) else (value,)))


@cache
def _only_checks(target: Any) -> bool:
    return any(mark in str(target) for mark in EFFECTS)


def _look_up(item: Any, values: Mapping[fx.Node, Any]) -> Any:
    return values.get(item) if isinstance(item, fx.Node) else item


def _scalar(node: fx.Node) -> Any:
    value = node.meta.get("val")
    if isinstance(value, (SymInt, int)) and not isinstance(value, bool):
        return size_hint(value)
    return None if isinstance(value, (SymBool, SymFloat)) else value


def _as_values(call: Call, outcome: Outcome) -> Any:
    if isinstance(outcome, Value):
        result: Any = outcome
    elif all(isinstance(item, Value) for item in outcome) and outcome:
        result = list(outcome)
    else:
        result = Value(tuple(outcome))  # type: ignore[arg-type]
    if _several(call) and isinstance(result, Value):
        return [result] * len(call.shapes)
    return result if _several(call) or isinstance(result, Value) else result[0]
