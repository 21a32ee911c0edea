"""The one table of operation rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from netsculpt.errors import ArgumentError
from netsculpt.graph.call import Call
from netsculpt.graph.facts import Value
from netsculpt.graph.terms import Term

# A rule returns the terms of the only output's dimensions, or a Value for it, or a list of Values, one per output.
Outcome: TypeAlias = Sequence[Term] | Value | list[Value]
Rule: TypeAlias = Callable[[Call], Outcome]

_RULES: dict[str, Rule] = {}


def rule(*operations: str) -> Callable[[Rule], Rule]:
    """Register a function as the rule of ``operations``; a later rule for the same operation replaces the earlier one.

    A rule equates the dimensions that are the same axis and returns those of the output:

        @rule("mylib::gate")
        def gate(call):
            call.equate(call["x"].dims, call["gate"].dims)
            return call["x"].dims

    Args:
        operations: names as torch has them, ``"namespace::name"`` for all overloads or ``"namespace::name.overload"``
            for one; without a namespace, ``aten``. In-place variants (``relu_``) find the rule of ``relu``.

    Raises:
        ArgumentError: no operation is named.
    """
    if not operations or not all(isinstance(name, str) and name for name in operations):
        raise ArgumentError(f"rule needs names of operations such as 'mylib::gate', not {operations!r}")

    def register(function: Rule) -> Rule:
        for name in operations:
            _RULES[name if "::" in name else f"aten::{name}"] = function
        return function

    return register


def find_rule(name: str, overload: str) -> Rule | None:
    """The rule of ``name`` ("aten::relu_") and ``overload``, or of the operation that ``name`` does in place."""
    for candidate in (name, name.removesuffix("_")):
        found = _RULES.get(f"{candidate}.{overload}") or _RULES.get(candidate)
        if found is not None:
            return found
    return None


def registered() -> tuple[str, ...]:
    """The names of all operations with a rule."""
    return tuple(_RULES)
