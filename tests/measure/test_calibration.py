"""What a calibration pass takes, keeps, leaves alone and refuses."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.measure import Statistics, measure
from netsculpt.methods.splitting.spectra import multiply, spectra
from tests.measure.measured import directions, loss, matrices
from tests.measure.networks import Case, case


def measured(subject: Case, sizes: tuple[int, ...] = (6,), **options: Any) -> Statistics:
    batches = list(zip(subject.x.split(sizes), subject.y.split(sizes), strict=True))
    return measure(subject.model, ns.trace(subject.model, subject.x), batches, F.cross_entropy, **options)


@pytest.mark.parametrize("name", ["VitMlp", "Squeeze", "SwiGlu"])
def test_batches_of_any_sizes_are_one(name: str) -> None:
    subject = case(name)
    whole, parts = measured(subject), measured(subject, (1, 3, 2))
    assert whole.examples == parts.examples == 6
    assert parts.loss == pytest.approx(loss(subject), rel=1e-12)
    for axis in whole.units:
        torch.testing.assert_close(matrices(parts, axis), matrices(whole, axis), rtol=1e-10, atol=1e-14)
        assert parts.positions(axis) == whole.positions(axis)
        step = 0.1 * directions(whole, axis)
        torch.testing.assert_close(parts.changes({axis: step})[axis], whole.changes({axis: step})[axis])


@pytest.mark.parametrize("room", [0, 4000])
def test_what_there_is_no_room_for_is_measured_again(room: int) -> None:
    subject = case("SwiGlu")
    kept, again = measured(subject, (2, 2, 2)), measured(subject, (2, 2, 2), max_bytes=room)
    assert len(kept.kept) == 3 > len(again.kept)
    assert (len(again.kept) == 0) == (room == 0)
    for axis, spectrum in spectra(kept).items():
        torch.testing.assert_close(spectra(again)[axis].values, spectrum.values, rtol=1e-9, atol=1e-14)
    one, two = (ns.split(stats, ns.Budget(params="+60%")) for stats in (kept, again))
    assert [(e.axis, e.index) for e in one.edits] == [(e.axis, e.index) for e in two.edits]  # type: ignore[union-attr]
    assert one.predicted == pytest.approx(two.predicted, rel=1e-9)


def test_as_many_batches_as_are_wanted() -> None:
    subject = case("VitMlp")
    stats = measured(subject, (2, 2, 2), max_batches=2)
    assert stats.examples == 4
    assert stats.loss == pytest.approx(loss(subject._replace(x=subject.x[:4], y=subject.y[:4])))


def test_a_loader_is_read_once_and_no_further_than_wanted() -> None:
    subject, read = case("VitMlp"), []

    def loader() -> Any:
        for number in range(3):
            read.append(number)
            yield subject.x, subject.y

    graph = ns.trace(subject.model, subject.x)
    measure(subject.model, graph, loader(), F.cross_entropy, max_batches=2)
    assert read == [0, 1]


def test_the_model_stays_as_it_is_in_train_mode() -> None:
    subject = case("Depthwise")
    model = subject.model.train()
    model.bn1.eval()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    stats = measured(subject)
    spectra(stats)
    stats.changes({"expand": directions(stats, "expand")})
    assert stats.loss_of(model) == pytest.approx(stats.loss, rel=1e-12)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.grad is None for parameter in model.parameters())
    assert stats.loss == pytest.approx(loss(subject._replace(model=copy.deepcopy(model).eval())), rel=1e-12)


def test_products_hold_on_to_no_autograd_graph() -> None:
    for name in ("Strided", "Depthwise", "SwiGlu"):
        stats = measured(case(name))
        for axis in stats.units:
            assert not multiply(stats, {axis: directions(stats, axis)})[axis].requires_grad


def test_frozen_parameters_are_measured_like_others() -> None:
    free, frozen = case("Strided"), case("Strided")
    frozen.model.requires_grad_(False)
    torch.testing.assert_close(matrices(measured(frozen), "a"), matrices(measured(free), "a"))


@pytest.mark.parametrize("route", ["explicit", "products"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precisions_find_about_the_same(dtype: torch.dtype, route: Any) -> None:
    exact = spectra(measured(case("Strided", 12), (12,)))["b"]
    found = spectra(measured(case("Strided", 12, dtype), (12,)), route=route)["b"]
    assert found.values.dtype is torch.float32
    scale = float(exact.values.abs().max())
    bound = {torch.float32: 2e-3, torch.bfloat16: 0.1, torch.float16: 0.03}[dtype]
    assert float((found.values.double() - exact.values).abs().max()) < bound * scale


@pytest.mark.parametrize("name", ["Strided", "SwiGlu"])
def test_a_model_in_half_precision_can_be_split(name: str) -> None:
    subject = case(name, dtype=torch.bfloat16)
    plan = ns.split(measured(subject, step=0.1), ns.Budget(params="+80%"))
    assert len(plan)
    assert plan.predicted is not None and plan.predicted < 0
    ns.apply(plan, subject.model, graph=ns.trace(subject.model, subject.x), check=False)
    assert subject.model(subject.x).dtype is torch.bfloat16


class Keywords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, values: Tensor, mask: Tensor) -> dict[str, Tensor]:
        return {"logits": self.down(F.silu(self.up(values)) * mask)}


def test_a_batch_may_be_a_dict() -> None:
    torch.manual_seed(0)
    model, labels = Keywords().double(), torch.randint(0, 3, (6,))
    inputs = {"values": torch.randn(6, 4, dtype=torch.float64), "mask": torch.ones(6, 1, dtype=torch.float64)}
    graph = ns.trace(model, inputs)
    loader = [{"labels": labels, **inputs}]
    stats = measure(model, graph, loader, lambda out, batch: F.cross_entropy(out["logits"], batch["labels"]))
    assert stats.loss == pytest.approx(float(F.cross_entropy(model(**inputs)["logits"], labels).detach()))
    assert list(stats.units) == ["up"]
    with pytest.raises(ArgumentError, match="lacks 'mask', which the model was traced with"):
        measure(model, graph, [{"values": inputs["values"]}], lambda out, batch: out["logits"].sum())
    with pytest.raises(ArgumentError, match="must be a dict of keyword arguments, not 2 entries"):
        measure(model, graph, [(inputs["values"], labels)], lambda out, batch: out["logits"].sum())


class NoParameters(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


Attempt = Callable[[Case, Any], Any]
REFUSALS: list[tuple[type[Exception], str, Attempt]] = [
    (MeasureError, "loss on the calibration data is nan", lambda c, f: f(lambda out, _: out.sum() * float("nan"))),
    (ArgumentError, "must return a scalar tensor", lambda c, f: f(lambda out, _: out.sum(1))),
    (ArgumentError, "must return a scalar tensor", lambda c, f: f(lambda out, _: 1.0)),
    (ArgumentError, "can be differentiated", lambda c, f: f(lambda out, _: torch.zeros(()))),
    (
        MeasureError,
        "gradient at the units of 'up'",
        lambda c, f: f(lambda out, _: (out - out.detach()).abs().sqrt().sum()),
    ),
    (ArgumentError, "the loader has no batch", lambda c, f: f(loader=[])),
    (ArgumentError, "must be 1 inputs and a target, not Tensor", lambda c, f: f(loader=[c.x])),
    (ArgumentError, "must be 1 inputs and a target, not 3 entries", lambda c, f: f(loader=[(c.x, c.x, c.y)])),
    (ArgumentError, "must be 1 inputs and a target, not dict", lambda c, f: f(loader=[{"x": c.x}])),
    (ArgumentError, "does not run: .* shape", lambda c, f: f(loader=[(c.x[..., :3], c.y)])),
    (ArgumentError, "does not run: .* dtype", lambda c, f: f(loader=[(c.x.float(), c.y)])),
    (ArgumentError, "axis 'head' cannot be measured: it is an output", lambda c, f: f(axes=["head"])),
    (ArgumentError, "max_batches must be above 0", lambda c, f: f(max_batches=0)),
    (ArgumentError, "step must be a length above 0", lambda c, f: f(step=0.0)),
    (ArgumentError, "step must be a length above 0", lambda c, f: f(step=float("nan"))),
    (ArgumentError, "kink must be 'triangle' or the β", lambda c, f: f(kink="relu")),
    (ArgumentError, "kink must be 'triangle' or the β", lambda c, f: f(kink=0)),
]


@pytest.mark.parametrize(("kind", "sentence", "attempt"), REFUSALS)
def test_what_makes_no_sense_is_refused(kind: type[Exception], sentence: str, attempt: Attempt) -> None:
    subject = case("VitMlp")
    graph = ns.trace(subject.model, subject.x)

    def call(loss_fn: Any = F.cross_entropy, loader: Any = None, **options: Any) -> Statistics:
        return measure(subject.model, graph, [subject[1:]] if loader is None else loader, loss_fn, **options)

    assert call().units  # the rest is fine
    with pytest.raises(kind, match=sentence):
        attempt(subject, call)


def train_a_step(model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).mul_(1.01)


def see_a_batch(model: nn.Module) -> None:
    model.train()(torch.randn(2, 3, 7, 7, dtype=torch.float64))


def replace_a_parameter(model: nn.Module) -> None:
    model.head.weight = nn.Parameter(model.head.weight.detach().clone())


@pytest.mark.parametrize("change", [train_a_step, see_a_batch, replace_a_parameter])
def test_statistics_know_when_they_are_old(change: Callable[[nn.Module], None]) -> None:
    subject = case("Depthwise")
    stats = measured(subject)
    stats.require_current()
    change(subject.model)
    assert not stats.is_current
    for use in (
        lambda: ns.split(stats, ns.Budget(params="200%")),
        lambda: spectra(stats),
        lambda: list(stats.samples()),
    ):
        with pytest.raises(MeasureError, match="the model has changed since it was measured"):
            use()
