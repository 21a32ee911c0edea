"""What units add to their consumers, against the consumers themselves run with one unit's weights at a time."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.measure import grams, measure
from tests.measure.measured import statistics
from tests.measure.networks import Case, case

NAMES = ["Strided", "Depthwise", "VitMlp", "SwiGlu", "Fused", "Stream", "Conv1d", "Conv3d", "Transposed", "Grouped",
         "Twice", "Pooled", "Attention"]  # fmt: skip


def contributions(subject: Case, weight: str, place: ns.graph.Place) -> Tensor:
    """[m, positions, outputs]: results of the layer with nothing but one unit's weights, no bias."""
    model = copy.deepcopy(subject.model)
    layer = model.get_submodule(weight.rpartition(".")[0])
    seen: list[tuple[Tensor, ...]] = []
    hook = layer.register_forward_pre_hook(lambda _, args: seen.append(args))
    model(subject.x)
    hook.remove()
    whole, found = layer.weight.detach().clone(), []
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        for unit in range(ns.trace(subject.model, subject.x)[place_axis(subject, weight, place)].size):
            entries = place.entries.entries(torch.tensor([unit]))
            mask = torch.zeros(whole.shape[place.dim], dtype=whole.dtype).index_fill_(0, entries, 1.0)
            layer.weight.copy_(whole * mask.view([-1 if d == place.dim else 1 for d in range(whole.dim())]))
            results = [layer(*args) for args in seen]
            channel = -1 if isinstance(layer, nn.Linear) else 1
            found.append(torch.cat([y.movedim(channel, -1).flatten(0, -2) for y in results]))
    return torch.stack(found)


def place_axis(subject: Case, weight: str, place: ns.graph.Place) -> str:
    graph = ns.trace(subject.model, subject.x)
    return next(
        a.name for a in graph.axes if any((p.tensor, p.entries) == (weight, place.entries) for p in a.consumers)
    )


@pytest.mark.parametrize("formed", [True, False], ids=["covariance", "pairs"])
@pytest.mark.parametrize("name", NAMES)
def test_inner_products_of_contributions(name: str, formed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grams, "FORMED", 1 << 20 if formed else 0)
    monkeypatch.setattr(grams, "CHUNK", 1 << 12)
    subject = case(name)
    stats = statistics(subject, for_="prune")
    assert stats.products
    for axis, by_weight in stats.products.items():
        for weight, gram in by_weight.items():
            place = next(p for p in stats.graph[axis].consumers if p.tensor == weight)
            c = contributions(subject, weight, place)
            torch.testing.assert_close(gram.inner, torch.einsum("inr,jnr->ij", c, c) / c.shape[1])
            torch.testing.assert_close(gram.means, c.mean(1))
            centred = c - c.mean(1, keepdim=True)
            torch.testing.assert_close(gram.centred, torch.einsum("inr,jnr->ij", centred, centred) / c.shape[1])
            assert gram.positions == c.shape[1]


def test_every_case_has_a_consumer_or_a_reason() -> None:
    for name in NAMES:
        stats = statistics(case(name), for_="prune")
        assert set(stats.consumers) | set(stats.unread) == {axis.name for axis in stats.graph.axes}
        assert not set(stats.consumers) & set(stats.unread)


def test_constants_go_into_a_bias_or_the_norm_behind() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
    model.extend([nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 2, bias=False)])
    x = torch.randn(3, 2, 4, 4)
    stats = measure(model.eval(), ns.trace(model, x), [(x, torch.zeros(3, dtype=torch.int64))], F.cross_entropy)
    constants = {axis: each.reads[0].constant for axis, each in stats.consumers.items()}
    assert {axis: c and (c.tensor, c.sign) for axis, c in constants.items()} == {
        "0": ("3.running_mean", -1),
        "2": ("6.bias", 1),
        "6": None,
    }
    assert stats.consumers["2"].reads[0].columns.tolist() == [[4 * k + p for p in range(4)] for k in range(4)]


def test_units_that_something_else_sums_are_not_imitated() -> None:
    class Penalty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.up, self.down = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.down(torch.relu(self.up(x))) + self.down.weight.sum(1)

    model, x = Penalty(), torch.randn(5, 3)
    stats = measure(model, ns.trace(model, x), [(x, torch.zeros(5, 2))], F.mse_loss, for_="split")
    assert "its units are mixed without a weight" in stats.unread["up"]


def test_sums_are_made_when_they_are_asked_for() -> None:
    subject = case("Strided")
    later = statistics(subject)
    assert not later.products
    first = statistics(subject, for_=["prune", "split"])
    for axis, by_weight in later.grams().items():
        for weight, gram in by_weight.items():
            torch.testing.assert_close(gram.inner, first.products[axis][weight].inner)
    assert first.loss == pytest.approx(later.loss) == pytest.approx(statistics(subject, for_="prune").loss)
    assert len(first.kept) == 2 and not statistics(subject, for_="prune").kept


def test_what_cannot_be_measured_is_refused() -> None:
    subject = case("Strided")
    with pytest.raises(ArgumentError, match="for_ must be one or several of 'split', 'prune', 'grow', not 'guess'"):
        statistics(subject, for_="guess")
    stats = statistics(subject, for_="prune")
    frozen = next(iter(stats.unread))
    with pytest.raises(ArgumentError, match=f"the consumers of axis '{frozen}' cannot be imitated"):
        stats.grams([frozen])
    some = statistics(subject, for_="prune", axes=["a"])
    assert list(some.consumers) == ["a"]
    with pytest.raises(ArgumentError, match="the consumers of axis 'b' cannot be imitated: it was not measured"):
        some.grams(["b"])
    broken = Case(subject.model, subject.x.clone().fill_(float("inf")), subject.y)
    with pytest.raises(MeasureError, match=r"not finite|not a finite number"):
        statistics(broken, for_="prune")
