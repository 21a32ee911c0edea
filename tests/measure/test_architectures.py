"""On every architecture: what is measured of an axis is what splitting its units really does to the loss."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import netsculpt as ns
from netsculpt.errors import MeasureError
from netsculpt.measure import Statistics, measure
from tests.architectures import ARCHITECTURES, TRANSFORMERS_MODELS, Architecture, arguments, in_float64

# All of their axes belong to recurrent cells and embeddings.
NOT_MEASURED = ("lstm_tagger", "lstm_cell_decoder")


def loss(answer: object, _: object) -> Tensor:
    leaves = pytree.tree_leaves(dict(answer) if isinstance(answer, Mapping) else answer)
    parts = [leaf.sin().mean() for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
    return torch.stack(parts).sum()


def measured(architecture: Architecture) -> Statistics:
    model = architecture.build().double()
    args, kwargs = arguments(in_float64(architecture.inputs()))
    graph = ns.trace(model, args, kwargs)
    # A kernel as narrow as this is no part of what is tested: kinks are met, or not, by running the units.
    return measure(model, graph, [kwargs or (*args, None)], loss, step=step_of(graph), kink=1e6)


def step_of(graph: ns.Graph) -> float:
    """Longer where parts of the model compute in float32 whatever it is in."""
    nodes = graph.program.exported.graph.nodes
    results = [node.meta.get("val") for node in nodes if node.op == "call_function"]
    return 1e-2 if any(isinstance(each, Tensor) and each.dtype == torch.float32 for each in results) else 1e-3


def directions(stats: Statistics, axis: str) -> Tensor:
    shape = stats.units[axis].size, stats.coordinates(axis).count
    random = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return stats.step * torch.nn.functional.normalize(random, dim=1)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *TRANSFORMERS_MODELS], ids=lambda each: each.name)
def test_a_split_does_what_was_measured(architecture: Architecture) -> None:
    if architecture.name in NOT_MEASURED:
        with pytest.raises(MeasureError, match="no axis can be measured"):
            measured(architecture)
        return
    stats = measured(architecture)
    noise = 1e-13 if stats.step < 1e-2 else 1e-7
    for axis, unit in stats.units.items():
        v = directions(stats, axis)
        expected = (stats.changes({axis: v})[axis] + stats.changes({axis: -v})[axis]) / 2
        if not unit.kinked:
            products = (batch[axis].bend.product(stats.coordinates(axis), v) for batch in stats.samples([axis]))
            bent = sum((v * product).sum(1) for product in products)
            assert torch.allclose(bent / 2, expected, rtol=0, atol=0.05 * float(expected.abs().max()) + noise), axis
        best = int(expected.abs().argmax())
        offsets = stats.coordinates(axis).offsets(best, torch.stack([v[best], -v[best]]))
        ns.apply(ns.Plan([ns.Split(axis, best, offsets=offsets)]), stats.model, graph=stats.graph, check=False)
        change = stats.loss_of(stats.model) - stats.loss
        ns.undo(stats.model)
        assert change == pytest.approx(float(expected[best]), rel=0.05, abs=noise), axis
