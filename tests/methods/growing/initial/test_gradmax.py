"""GradMax: the function stays, and no other outgoing weights of the same size give a larger gradient."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.measure import Statistics, measure
from netsculpt.methods.growing.initial import gradmax
from netsculpt.methods.growing.initial.new_units import norms
from netsculpt.methods.growing.initial.places import place
from tests.measure.networks import Case
from tests.methods.growing.initial.networks import AXES, loss, network, statistics, widened
from tests.methods.growing.initial.test_cross import gradient_at

K = 2  # classes less one: what sums to 0 over classes has no larger rank


def outgoing(stats: Statistics, axis: str, slices: dict[str, Tensor]) -> Tensor:
    return torch.cat([slices[read.weight] for read in place(stats, axis).reads], 1)


def squared(case: Case, stats: Statistics, axis: str, slices: dict[str, Tensor]) -> float:
    """Of the gradient of the new units' incoming weights."""
    model = widened(case, axis, slices)
    return float(gradient_at(model, loss(model, case), place(stats, axis), K).square().sum())


@pytest.mark.parametrize(("name", "axis"), AXES)
def test_the_function_stays_and_the_gradient_is_what_was_predicted(name: str, axis: str) -> None:
    case = network(name)
    stats = statistics(case, for_="prune")
    new = gradmax(stats, axis, K, scale=0.7)
    size = 0.7 * float(norms(stats, place(stats, axis)).mean())

    torch.testing.assert_close(widened(case, axis, new.slices)(case.x), case.model(case.x), rtol=1e-14, atol=1e-15)
    assert squared(case, stats, axis, new.slices) == pytest.approx(float((size * new.gains).square().sum()), rel=1e-9)
    assert new.gains.dtype == torch.float64
    assert list(new.gains) == sorted(new.gains, reverse=True)
    torch.testing.assert_close(outgoing(stats, axis, new.slices).norm(dim=1), torch.full((K,), size).double())


@pytest.mark.parametrize(("name", "axis"), [("Plain", "a"), ("Wide", "a"), ("Strided", "b"), ("Residual", "stem")])
def test_no_other_outgoing_weights_of_that_size_do_better(name: str, axis: str) -> None:
    case = network(name)
    stats = statistics(case, for_="prune")
    new = gradmax(stats, axis, K)
    best = squared(case, stats, axis, new.slices)
    size = float(outgoing(stats, axis, new.slices)[0].norm())
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        random, start = {}, 0
        width = outgoing(stats, axis, new.slices).shape[1]
        basis, _ = torch.linalg.qr(torch.randn(width, K, generator=generator, dtype=torch.float64))
        for read in place(stats, axis).reads:
            part = new.slices[read.weight].shape[1]
            random[read.weight] = size * basis.T[:, start : start + part].contiguous()
            start += part
        assert squared(case, stats, axis, {**new.slices, **random}) < best


def test_units_beyond_the_rank_are_drawn_and_change_nothing() -> None:
    case = network("Plain")
    stats = statistics(case, for_="prune")
    new = gradmax(stats, "b", 7)  # the gradients of its three users sum to 0

    assert (new.gains[:2] > 0).all()
    assert (new.gains[2:] == 0).all()
    assert (new.slices["b.weight"][2:].norm(dim=1) > 0.1).all()
    assert (new.slices["head.weight"][2:] == 0).all()
    torch.testing.assert_close(widened(case, "b", new.slices)(case.x), case.model(case.x), rtol=1e-14, atol=1e-15)
    assert torch.equal(gradmax(stats, "b", 7, seed=0).slices["b.weight"], new.slices["b.weight"])
    assert not torch.equal(gradmax(stats, "b", 7, seed=1).slices["b.weight"], new.slices["b.weight"])


class Rectified(nn.Module):
    """ReLUs, with a batch norm and a bias before them."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.b, self.head = nn.Conv2d(4, 5, 3), nn.Linear(5, 3)
        self.c = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.b(F.relu(self.norm(self.a(x)))))
        return self.c(F.sigmoid(self.head(F.max_pool2d(h, 2).mean((2, 3)))))


def rectified() -> tuple[Case, Statistics]:
    torch.manual_seed(0)
    model = Rectified().double().eval()
    case = Case(model, torch.randn(8, 3, 7, 7, dtype=torch.float64), torch.randint(0, 3, (8,)))
    return case, measure(model, ns.trace(model, case.x), [(case.x, case.y)], F.cross_entropy, for_="prune")


def test_a_relu_needs_a_bias() -> None:
    _, stats = rectified()
    with pytest.raises(MeasureError, match=r"slope is 0 .a ReLU has none at 0 in torch; give a small positive bias"):
        gradmax(stats, "a", K)


@pytest.mark.parametrize(("axis", "lifted"), [("a", "norm.bias"), ("b", "b.bias")])
def test_with_a_bias_a_relu_gets_the_gradient_that_was_predicted(axis: str, lifted: str) -> None:
    case, stats = rectified()
    found = []
    for bias in (1e-4, 1e-5):
        new = gradmax(stats, axis, K, bias=bias)
        assert (new.slices[lifted] == bias).all()
        size = float(outgoing(stats, axis, new.slices)[0].norm())
        predicted = float((size * new.gains).square().sum())
        moved = float((widened(case, axis, new.slices)(case.x) - case.model(case.x)).detach().abs().max())
        found.append((abs(squared(case, stats, axis, new.slices) / predicted - 1), moved))
    (error, moved), (less, least) = found
    assert less < 1e-3
    assert less == pytest.approx(error / 10, rel=0.1)
    assert least == pytest.approx(moved / 10, rel=0.1)


def test_units_that_answer_something_to_nothing_are_refused() -> None:
    _, stats = rectified()
    with pytest.raises(MeasureError, match=r"'head' without incoming weights answer 0\.5 instead of 0"):
        gradmax(stats, "head", 1)


def test_a_gate_gives_no_gradient_at_zero() -> None:
    stats = statistics(network("SwiGlu"), for_="prune")
    with pytest.raises(MeasureError, match="get no gradient: the slope is 0"):
        gradmax(stats, "gate", 2)


@pytest.mark.parametrize(
    ("name", "axis", "why"),
    [
        (
            "Depthwise",
            "expand",
            "'expand' cannot be followed through aten.conv2d in depth, .*: only batch norms, pools",
        ),
        ("Grouped", "a/1", "'a/1' cannot be computed: a unit has 2 rows of a.weight, not 1"),
        ("Attention", "q/0", "'q/0' cannot be computed: a unit has 2 rows of q.weight, not 1"),
        ("Pooled", "a", "'a' cannot be followed through aten.instance_norm in norm"),
        ("Gated", "a", "'a' meet sigmoid in aten.mul.Tensor, .*, which depends on the data"),
        ("Recurrent", "start", "'start' cannot be computed: step.weight both makes and uses its units"),
        ("Recurrent", "head", "'head' cannot be computed: it is an output of the model"),
    ],
)
def test_ways_that_are_not_known_are_refused_in_a_sentence(name: str, axis: str, why: str) -> None:
    stats = statistics(network(name), for_="prune")
    with pytest.raises(MeasureError, match=why):
        gradmax(stats, axis, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be a number of units above 0, not 0"),
        ({"k": True}, "k must be a number of units above 0, not True"),
        ({"scale": 0.0}, "scale must be a factor above 0, not 0.0"),
        ({"scale": float("nan")}, "scale must be a factor above 0, not nan"),
        ({"axis": "b", "bias": 0.1}, "bias must be 0 for 'b', whose units have none, not 0.1"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, object], message: str) -> None:
    stats = statistics(network("Plain"), for_="prune")
    given = {"axis": "a", "k": 2, **options}
    with pytest.raises(ArgumentError, match=message):
        gradmax(stats, **given)  # type: ignore[arg-type]
