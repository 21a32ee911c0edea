"""What is around a call of ``ns.grow`` stays as it was, and does not change its result."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, EditError, MeasureError
from netsculpt.measure import Statistics
from netsculpt.methods.growing import Tuning, natural_gains
from netsculpt.methods.growing.overlay import Overlay
from tests.methods.growing.nets import CLASSES, measured

QUICK = Tuning(batches=6)
ALL = ("split", "new", "layer")


def state(model: nn.Module) -> list[Any]:
    """Everything that growing could leave behind."""
    parameters = [(each.requires_grad, each.grad, each._version) for each in model.parameters()]
    flags = [(module.training, len(module._forward_hooks)) for module in model.modules()]
    tensors = [each.clone() for each in model.state_dict().values()]
    return [parameters, flags, torch.is_grad_enabled(), torch.get_rng_state().tolist(), [t.tolist() for t in tensors]]


def failing(stats: Statistics, calls: int) -> Statistics:
    """The same, with a loss that is not a number from some call on."""
    seen = []

    def loss_fn(answer: Tensor, target: Tensor) -> Tensor:
        seen.append(1)
        return F.cross_entropy(answer, target) * (torch.nan if len(seen) > calls else 1)

    return replace(stats, loss_fn=loss_fn)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_and_the_random_numbers_stay(training: bool) -> None:
    _, stats = measured("resnet")
    stats.model.train(training)
    before = state(stats.model)
    ns.grow(stats, ns.Limits(units=3), kinds=ALL, tuning=QUICK)
    assert state(stats.model) == before


@pytest.mark.parametrize("calls", [0, 3, 8, 18])
def test_they_stay_where_it_fails_half_way(calls: int) -> None:
    _, stats = measured("convnet")
    before = state(stats.model)
    with pytest.raises(MeasureError, match="loss with candidates attached is nan"):
        ns.grow(failing(stats, calls), ns.Limits(units=3), kinds=ALL, tuning=QUICK)
    assert state(stats.model) == before


def test_steps_that_end_nowhere_are_no_empty_plan() -> None:
    _, stats = measured("mlp")

    def lost(answer: Tensor, target: Tensor) -> Tensor:  # finite, with a slope that is not
        return F.cross_entropy(answer, target) + 0 * answer.abs().sum().sub(answer.abs().sum()).sqrt()

    with pytest.raises(MeasureError, match=r"not finite|is nan"):
        ns.grow(replace(stats, loss_fn=lost), ns.Limits(units=2), tuning=Tuning(batches=0))


def test_a_loss_without_gradients_is_refused() -> None:
    _, stats = measured("mlp")
    detached = replace(stats, loss_fn=lambda answer, target: F.cross_entropy(answer.detach(), target))
    with pytest.raises(ArgumentError, match="can be differentiated"):
        ns.grow(detached, ns.Limits(units=2), tuning=QUICK)


@pytest.mark.parametrize("init", ["firefly", "gradmax", "tiny"])
def test_a_plan_without_gradients_around_it_is_the_same(init: str) -> None:
    _, stats = measured("mlp")
    wanted = ns.grow(stats, ns.Limits(units=2), init=init, tuning=QUICK).to_json()
    gains = natural_gains(stats)
    with torch.no_grad():
        assert ns.grow(stats, ns.Limits(units=2), init=init, tuning=QUICK).to_json() == wanted
        assert natural_gains(measured("mlp")[1]) == gains


def test_autocast_around_it_changes_nothing() -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, CLASSES)), torch.randn(48, 6)
    y = torch.randint(CLASSES, (48,))
    data = list(zip(x.split(12), y.split(12), strict=True))
    stats = ns.Sculptor(model, x[:2]).measure(data, F.cross_entropy, for_="grow")
    wanted = ns.grow(stats, ns.Limits(units=2), tuning=QUICK)
    with torch.autocast("cpu", torch.bfloat16):
        assert ns.grow(stats, ns.Limits(units=2), tuning=QUICK).to_json() == wanted.to_json()


class Mixed(nn.Module):
    """Layers of two dtypes."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 5), nn.Linear(5, 6).bfloat16()
        self.norm, self.c = nn.LayerNorm(6), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.b(F.relu(self.a(x)).bfloat16())
        out = self.c(F.relu(self.norm(hidden.float())))
        assert isinstance(out, Tensor)
        return out


def test_layers_of_two_dtypes_grow() -> None:
    torch.manual_seed(0)
    model, x = Mixed(), torch.randn(48, 6)
    y = (x[:, :3].sum(1) * 2).long().clamp(-2, 1) % CLASSES
    sculptor = ns.Sculptor(model, x[:2])
    stats = sculptor.measure(list(zip(x.split(12), y.split(12), strict=True)), F.cross_entropy, for_="grow")
    plan = ns.grow(stats, ns.Limits(units=4), axes=["a", "b"], tuning=Tuning(batches=20))
    assert sculptor.apply(plan).measured == pytest.approx(plan.predicted, abs=5e-3)
    assert plan.predicted is not None and plan.predicted < -5e-3


def test_candidates_of_half_precision_are_tuned_in_single() -> None:
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, CLASSES)).bfloat16()
    graph = ns.trace(model, torch.randn(2, 6).bfloat16())
    overlay = Overlay(model, graph, new_units={"0": 2})
    assert {value.dtype for group in overlay.groups.values() for value in group.values.values()} == {torch.float32}
    assert all(tensor.dtype == torch.bfloat16 for tensor in overlay.tensors().values())


def test_a_model_that_cannot_be_copied_is_refused_in_a_sentence() -> None:
    _, stats = measured("mlp")
    stats.model.last = stats.model(stats.data[0].inputs.args[0])  # as code does that keeps an auxiliary loss
    with pytest.raises(EditError, match="model must be one that can be copied"):
        ns.grow(stats, ns.Limits(units=2), tuning=QUICK)
