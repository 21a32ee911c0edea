"""Every operation with a rule stands between two layers in some case, whose graph proves itself."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
import torch
from torch import fx, nn

from netsculpt.graph import Graph, trace
from netsculpt.graph.axes import Axis
from netsculpt.graph.registry import registered
from tests.graph.operations import Case, model_of
from tests.graph.operations_creation import CREATION
from tests.graph.operations_elementwise import ELEMENTWISE
from tests.graph.operations_indexing import INDEXING
from tests.graph.operations_layers import LAYERS
from tests.graph.operations_products import PRODUCTS
from tests.graph.operations_reductions import REDUCTIONS
from tests.graph.operations_shapes import SHAPES
from tests.graph.proofs import failures

TABLES = (ELEMENTWISE, CREATION, REDUCTIONS, SHAPES, INDEXING, PRODUCTS, LAYERS)
CASES: dict[str, Case] = {name: case for table in TABLES for name, case in table.items()}

EXEMPT: dict[str, str] = {
    "aten::cudnn_batch_norm": "torch runs it on CUDA alone.",
}


@functools.cache
def traced(name: str) -> tuple[nn.Module, Graph]:
    model, inputs = model_of(CASES[name])
    return model, trace(model, inputs)


@pytest.mark.parametrize("name", CASES)
def test_units_are_followed_through(name: str) -> None:
    case = CASES[name]
    model, graph = traced(name)
    assert failures(graph, model) == []
    axes = [axis for axis in graph if axis.name.partition("/")[0] == case.layer]
    assert " ".join(dict.fromkeys(map(state, axes))) == case.expect, str(graph)
    assert not graph.unknown


def test_no_case_hides_another() -> None:
    assert len(CASES) == sum(map(len, TABLES))


def test_every_rule_has_a_case() -> None:
    covered = {rule for name in CASES for rule in rules_of(traced(name)[1])}
    known = {name for name in registered() if name.startswith("aten::")}
    assert sorted(known - covered) == sorted(EXEMPT)


def state(axis: Axis) -> str:
    return "frozen" if axis.frozen else "inexact" if axis.inexact else "exact"


def rules_of(graph: Graph) -> Iterator[str]:
    """The names in the table of rules of all operations in a program."""
    for module in graph.program.exported.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, fx.GraphModule) else ():
            if isinstance(node.target, torch._ops.OpOverload):
                yield from names_of(node.target)


def names_of(target: torch._ops.OpOverload) -> set[str]:
    name, overload = target._schema.name, target._schema.overload_name or "default"
    plain = {name, name.removesuffix("_")}
    return {f"{each}.{overload}" for each in plain} | plain
