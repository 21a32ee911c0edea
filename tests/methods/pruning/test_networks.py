"""Pruning on networks of all kinds: what a plan predicts from running both networks is what its edits do."""

import pytest
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import BudgetError
from tests.measure.networks import case

NAMES = ["Strided", "Depthwise", "VitMlp", "SwiGlu", "Fused", "Stream", "Squeeze", "Gpt2", "Conv1d", "Conv3d",
         "Transposed", "Grouped", "Twice", "Pooled", "Shifted", "Attention"]  # fmt: skip


@pytest.mark.parametrize("refit", ["least_squares", "scale"])
@pytest.mark.parametrize("name", NAMES)
def test_predictions_come_true(name: str, refit: str) -> None:
    subject = case(name)
    sculptor = ns.Sculptor(subject.model, subject.x)
    batches = list(zip(subject.x.split(3), subject.y.split(3), strict=True))
    stats = sculptor.measure(batches, F.cross_entropy, for_="prune")
    for axis in stats.consumers:
        size = stats.graph[axis].size
        if size == 1:
            continue
        limits = ns.Limits(ns.Budget(params=sculptor.graph.cost().params - 1), widths={axis: (size - 1, None)})
        plan = ns.prune(stats, limits, axes=[axis], refit=refit, check_baseline=False)  # type: ignore[arg-type]
        done = sculptor.apply(plan)
        assert done.after.params < done.before.params
        assert done.predicted == pytest.approx(done.measured, rel=1e-6, abs=1e-9), axis
        sculptor.undo()
        sculptor.measure(batches, F.cross_entropy, for_="prune")


def test_what_cannot_lose_a_unit_is_told() -> None:
    subject = case("Strided")
    stats = ns.Sculptor(subject.model, subject.x).measure([(subject.x, subject.y)], F.cross_entropy, for_="prune")
    with pytest.raises(BudgetError, match="minimum widths contradict the budget"):
        ns.prune(stats, ns.Limits(ns.Budget(params="50%"), widths={"*": (4, None)}), check_baseline=False)
