"""Criteria that look at calibration data, against loops over examples and units, in which modules are hooked."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.measure import measure
from netsculpt.methods.criteria import (
    CRITERIA,
    Inapplicable,
    activation_mean,
    apoz,
    fisher,
    obd,
    taylor,
    taylor_weights,
)
from tests.methods.criteria.networks import SUBJECTS, Subject, subject

READERS = {"conv": ["b"], "flatten": ["head"], "residual": ["inner", "head"], "mlp": ["down"], "queries": ["out"]}
CHANNEL = {"conv": 1}  # the readers' input dimension that holds the units; the last of linear layers
DATA = [activation_mean, apoz, taylor, taylor_weights, fisher, obd]


def close(found: Tensor, expected: list[float]) -> None:
    assert found.dtype is torch.float64
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-14)


def read(name: str, case: Subject) -> list[dict[str, list[tuple[Tensor, Tensor]]]]:
    """Of every example, by reader: (values, gradients of the example's own loss) of each unit, flat."""
    found = []
    for x, y in zip(case.x.split(1), case.y.split(1), strict=True):
        inputs: dict[str, Tensor] = {}

        def hook(reader: str, inputs: dict[str, Tensor] = inputs) -> Callable[..., tuple[Tensor]]:
            def tell(module: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
                inputs[reader] = given[0].clone()
                inputs[reader].retain_grad()
                return (inputs[reader],)

            return tell

        hooks = [case.model.get_submodule(each).register_forward_pre_hook(hook(each)) for each in READERS[name]]
        F.cross_entropy(case.model(x), y).backward()
        for each in hooks:
            each.remove()
        example = {}
        for reader, value in inputs.items():
            units = case.slices[f"{reader}.weight"][1]
            flat = [t.detach().movedim(CHANNEL.get(name, -1), 0) for t in (value, value.grad)]  # type: ignore[union-attr]
            example[reader] = [(flat[0][unit].flatten(), flat[1][unit].flatten()) for unit in units]
        found.append(example)
    return found


def own_gradients(case: Subject) -> list[dict[str, Tensor]]:
    """Of every example's own loss, by parameter."""
    found = []
    for x, y in zip(case.x.split(1), case.y.split(1), strict=True):
        case.model.zero_grad()
        F.cross_entropy(case.model(x), y).backward()
        found.append({name: p.grad.clone() for name, p in case.model.named_parameters()})  # type: ignore[union-attr]
    case.model.zero_grad()
    return found


@pytest.mark.parametrize("name", SUBJECTS)
def test_taylor_and_fisher(name: str) -> None:
    case = subject(name)
    stats = case.statistics()
    examples = read(name, case)
    gains = [
        [sum(float(a @ g) for a, g in (each[k] for each in example.values())) for example in examples]
        for k in range(case.units)
    ]
    close(taylor(stats, case.axis), [sum(map(abs, each)) / 7 for each in gains])
    close(taylor(stats, case.axis, form="signed"), [abs(sum(each)) / 7 for each in gains])
    close(fisher(stats, case.axis), [sum(x * x for x in each) / 14 for each in gains])
    absolute = [
        sum(float((a * g).abs().sum()) for example in examples for a, g in (each[k] for each in example.values()))
        for k in range(case.units)
    ]
    close(taylor(stats, case.axis, form="absolute"), [each / 7 for each in absolute])


@pytest.mark.parametrize("reduce", ["mean", "max", "first"])
@pytest.mark.parametrize("name", SUBJECTS)
def test_activation_mean_and_apoz(name: str, reduce: str) -> None:
    case = subject(name)
    stats = case.statistics()
    examples = read(name, case)
    over = {"mean": lambda each: sum(each) / len(each), "max": max, "first": lambda each: each[0]}[reduce]
    values = [
        [torch.cat([example[reader][k][0] for example in examples]) for reader in READERS[name]]
        for k in range(case.units)
    ]
    means = [over([float(v.abs().mean()) for v in each]) for each in values]
    shares = [over([float((v != 0).double().mean()) for v in each]) for each in values]
    close(activation_mean(stats, case.axis, reduce=reduce), means)  # type: ignore[arg-type]
    close(apoz(stats, case.axis, reduce=reduce), shares)  # type: ignore[arg-type]


def test_relus_have_zeros_and_smooth_activations_none() -> None:
    conv, mlp = subject("conv"), subject("mlp")
    assert 0 < float(apoz(conv.statistics(), "a").min()) <= float(apoz(conv.statistics(), "a").max()) < 1
    assert apoz(mlp.statistics(), "up").tolist() == [1.0] * 7


@pytest.mark.parametrize("name", SUBJECTS)
def test_taylor_of_weights(name: str) -> None:
    case = subject(name)
    stats = case.statistics()
    own = own_gradients(case)
    mean = {n: sum(each[n] for each in own) / 7 for n in own[0]}
    weights = dict(case.model.named_parameters())
    units = [list(zip(case.rows(weights, k), case.rows(mean, k), strict=True)) for k in range(case.units)]  # type: ignore[arg-type]
    places = len(case.slices)
    absolute = [sum(float((w * g).abs().sum()) for w, g in each) / places for each in units]
    close(taylor_weights(stats, case.axis), absolute)
    close(
        taylor_weights(stats, case.axis, form="signed", reduce="sum"),
        [sum(abs(float(w @ g)) for w, g in each) for each in units],
    )
    close(
        taylor_weights(stats, case.axis, form="squared", reduce="max"),
        [max(float(w @ g) ** 2 for w, g in each) for each in units],
    )


@pytest.mark.parametrize("name", SUBJECTS)
def test_obd(name: str) -> None:
    case = subject(name)
    stats = case.statistics()
    own = own_gradients(case)
    weights = dict(case.model.named_parameters())
    expected = []
    for k in range(case.units):
        squares = [[(g**2) for g in case.rows(each, k)] for each in own]
        rows = case.rows(weights, k)
        at = [0.5 * sum(float(w**2 @ each[place]) for each in squares) / 7 for place, w in enumerate(rows)]
        expected.append(sum(at) / len(at))
    close(obd(stats, case.axis), expected)


def test_first_order_scores_say_what_scaling_a_unit_does() -> None:
    case = subject("residual")
    stats = case.statistics()
    step = 1e-5
    for k in range(case.units):
        changes = []
        for sign in (1, -1):
            for weight in (case.model.inner.weight, case.model.head.weight):  # type: ignore[union-attr]
                weight.data[:, k] *= 1 + sign * step  # type: ignore[union-attr,operator,index]
            changes.append(stats.loss_of(case.model))
            for weight in (case.model.inner.weight, case.model.head.weight):  # type: ignore[union-attr]
                weight.data[:, k] /= 1 + sign * step  # type: ignore[union-attr,operator,index]
        slope = (changes[0] - changes[1]) / (2 * step)
        stats = case.statistics()
        assert float(taylor(stats, "stem", form="signed")[k]) == pytest.approx(abs(slope), rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("criterion", DATA, ids=lambda each: each.__name__)
@pytest.mark.parametrize("name", SUBJECTS)
def test_scores_follow_units_and_batches_do_not_matter(name: str, criterion: Callable[..., Tensor]) -> None:
    case = subject(name)
    before = criterion(case.statistics(), case.axis)
    graph = ns.trace(case.model, case.x)
    whole = measure(case.model, graph, [(case.x, case.y)], F.cross_entropy)
    torch.testing.assert_close(criterion(whole, case.axis), before, rtol=1e-9, atol=1e-14)
    order = torch.randperm(case.units, generator=torch.Generator().manual_seed(1))
    ns.apply(ns.Plan.of(graph, [ns.Prune(case.axis, order)]), case.model, graph=graph)
    torch.testing.assert_close(criterion(case.statistics(), case.axis), before[order], rtol=1e-9, atol=1e-14)


def test_everything_is_left_as_it_was() -> None:
    case = subject("conv")
    case.model.train()
    case.model.a.weight.requires_grad_(False)  # type: ignore[union-attr]
    stats = case.statistics()
    before = {name: each.clone() for name, each in case.model.state_dict().items()}
    for criterion in DATA:
        assert float(criterion(stats, "a").min()) >= 0
    assert case.model.training and not case.model.a.weight.requires_grad  # type: ignore[union-attr]
    assert all(each.grad is None for each in case.model.parameters())
    assert all(torch.equal(each, before[name]) for name, each in case.model.state_dict().items())
    assert float(taylor_weights(stats, "a").min()) > 0  # weights that are not trained have gradients all the same


@pytest.mark.parametrize("criterion", DATA, ids=lambda each: each.__name__)
def test_statistics_are_needed_and_must_be_of_the_model_as_it_is(criterion: Callable[..., Tensor]) -> None:
    case = subject("conv")
    with pytest.raises(ArgumentError, match=f"criterion '{criterion.__name__}' needs the Statistics"):
        criterion(case.pair, "a")
    stats = case.statistics()
    case.model.a.weight.data.mul_(2)  # type: ignore[union-attr,operator]
    with torch.no_grad():
        case.model.a.weight.mul_(2)  # type: ignore[union-attr,operator]
    with pytest.raises(MeasureError, match="has changed since"):
        criterion(stats, "a")


def test_what_makes_no_sense_is_refused() -> None:
    stats = subject("conv").statistics()
    for criterion in (taylor, taylor_weights):
        with pytest.raises(ArgumentError, match="form must be one of"):
            criterion(stats, "a", form="cubed")  # type: ignore[arg-type]
    for criterion in (taylor, fisher, activation_mean, apoz):
        with pytest.raises(Inapplicable, match="units of axis 'head' are not read by"):
            criterion(stats, "head")


def test_every_criterion_makes_a_plan() -> None:
    stats = subject("conv").statistics()
    for name in CRITERIA:
        plan = ns.prune_by(stats, ns.Budget(params="80%"), name)
        assert plan.edits and plan.before is not None and plan.after is not None
        assert plan.after.params <= 0.8 * plan.before.params


class Rows(nn.Module):
    """An MLP on tokens that lie in different orders, with the same answer in all of them."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.up, self.down, self.order = nn.Linear(4, 5), nn.Linear(5, 3), order

    def forward(self, x: Tensor) -> Tensor:
        if self.order == "rows":
            return self._mlp(x.reshape(-1, 4)).reshape(x.shape[0], -1, 3).mean(1)
        if self.order == "sequence first":
            return self._mlp(x.transpose(0, 1)).mean(0)
        if self.order == "rows by token":
            return self._mlp(x.transpose(0, 1).reshape(-1, 4)).reshape(x.shape[1], -1, 3).mean(0)
        if self.order == "halves":
            first, second = self._mlp(torch.cat([x[:, :3], x[:, 3:]], 0)).chunk(2)
            return (first + second).mean(1) / 2
        return self._mlp(x).mean(1)

    def _mlp(self, x: Tensor) -> Tensor:
        return self.down(self.up(x).relu())


@pytest.mark.parametrize("batch", [6, 3])
@pytest.mark.parametrize("order", ["rows", "sequence first", "rows by token", "halves"])
def test_tokens_count_for_their_example_however_they_lie(order: str, batch: int) -> None:
    def scores(order: str) -> list[Tensor]:
        torch.manual_seed(0)
        model = Rows(order).double()
        x = torch.randn(6, 6, 4, dtype=torch.float64)
        batches = list(zip(x.split(batch), (torch.arange(6) % 3).split(batch), strict=True))
        stats = measure(model, ns.trace(model, x), batches, F.cross_entropy, for_="prune")
        return [criterion(stats, "up") for criterion in (taylor, fisher, activation_mean)]

    for found, expected in zip(scores(order), scores("plain"), strict=True):
        torch.testing.assert_close(found, expected)
