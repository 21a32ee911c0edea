"""S7: what stands for the second derivative at kinks, and what a finite split of a kinked unit really does."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import measure
from netsculpt.measure.kinks import KINKED, Kernel, surrogate

ARGUMENTS: dict[str, dict[str, Any]] = {
    "relu": {},
    "relu6": {},
    "hardtanh": {"min_val": -0.5, "max_val": 1.5},
    "clamp": {"min": -1.0, "max": 0.5},
    "clamp_min": {"min": 0.25},
    "clamp_max": {"max": 0.25},
    "leaky_relu": {"negative_slope": 0.1},
    "prelu": {"weight": torch.tensor([0.25, -0.5], dtype=torch.float64)},
    "hardswish": {},
    "hardsigmoid": {},
    "abs": {},
    "elu": {"alpha": 1.5, "scale": 0.8, "input_scale": 2.0},
    "selu": {},
    "softshrink": {"lambd": 0.5},
}
KERNELS = [Kernel("triangle", 0.1), Kernel("softplus", 30.0)]
SPAN = 9.0


def bent(name: str, z: Tensor, kernel: Kernel) -> Tensor:
    found = surrogate(name, {"self": z, **ARGUMENTS[name]}, kernel)
    assert found is not None
    return found


def line(points: int) -> Tensor:
    """From -SPAN to SPAN, in two columns: channels of a prelu. No point is at a kink."""
    z = torch.linspace(-SPAN, SPAN, points, dtype=torch.float64) + 1e-5
    return z[:, None].repeat(1, 2).requires_grad_()


def slopes(y: Tensor, z: Tensor, again: bool = False) -> Tensor:
    (found,) = torch.autograd.grad(y.sum(), z, create_graph=again)
    return found


def test_every_kinked_function_is_tested() -> None:
    assert set(ARGUMENTS) == set(KINKED)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", KINKED)
def test_values_and_slopes_are_the_functions_own(name: str, kernel: Kernel) -> None:
    z = line(1001)
    expected = getattr(torch.ops.aten, name)(z, **ARGUMENTS[name])
    found = bent(name, z, kernel)
    assert torch.equal(found, expected)
    torch.testing.assert_close(slopes(found, z), slopes(expected, z), rtol=0, atol=1e-8)  # torch has 1/6 in float32


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", KINKED)
def test_the_second_derivative_integrates_to_the_change_of_the_slope(name: str, kernel: Kernel) -> None:
    z = line(180_001)
    slope = slopes(bent(name, z, kernel), z, again=True)
    bend = slopes(slope, z)
    area = torch.cumulative_trapezoid(bend, z.detach(), dim=0)
    torch.testing.assert_close(area[-1], (slope[-1] - slope[0]).detach(), rtol=0, atol=4e-4)
    assert float(bend.abs().max()) > 0.05
    for at in (-2.0, 1.0, 4.5):  # half-way too: every kink has its own share
        row = int((at + SPAN) / (2 * SPAN) * (len(z) - 1))
        torch.testing.assert_close(area[row], (slope[row] - slope[0]).detach(), rtol=0, atol=4e-4)


def test_a_relu_is_a_triangle_exactly() -> None:
    torch.manual_seed(0)
    z, a = torch.randn(2, 1000, dtype=torch.float64)
    for eps in (1.0, 0.1, 1e-3):
        split = (F.relu(z + eps * a) + F.relu(z - eps * a)) / 2 - F.relu(z)
        torch.testing.assert_close(split, (eps * a.abs() - z.abs()).clamp(min=0) / 2, rtol=0, atol=1e-15)
        kernel = torch.stack([Kernel("triangle", eps * abs(float(y)))(x) for x, y in zip(z, a, strict=True)])
        torch.testing.assert_close(split, (eps * a).square() / 2 * kernel, rtol=0, atol=1e-15)


def test_kernels_have_mass_one_and_a_width() -> None:
    z = torch.linspace(-20, 20, 400_001, dtype=torch.float64)
    for kernel in (Kernel("triangle", 0.7), Kernel("triangle", 3), Kernel("softplus", 3.0)):
        assert float(torch.trapezoid(kernel(z), z)) == pytest.approx(1, abs=1e-7)
    assert float(Kernel("triangle", 0.7)(torch.tensor(0.71))) == 0
    expected = torch.autograd.functional.hessian(lambda z: F.softplus(z, beta=3), torch.tensor(0.4))
    torch.testing.assert_close(Kernel("softplus", 3.0)(torch.tensor(0.4)), expected)


def test_what_has_no_kink_or_unknown_ones_is_left_to_autograd() -> None:
    z = torch.randn(3)
    assert surrogate("gelu", {"self": z}, KERNELS[0]) is None
    assert surrogate("clamp", {"self": z, "min": torch.zeros(3)}, KERNELS[0]) is None


class Hidden(nn.Module):
    """One hidden layer."""

    def __init__(self, act: nn.Module) -> None:
        super().__init__()
        self.up, self.act, self.head = nn.Linear(4, 8), act, nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.act(self.up(x)))


ACTIVATIONS = [
    nn.ReLU(inplace=True),
    nn.ReLU6(),
    nn.LeakyReLU(0.2),
    nn.Hardswish(),
    nn.Hardtanh(),
    nn.PReLU(),
    nn.SELU(),
]


def data() -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(200, 4, dtype=torch.float64), torch.randint(0, 3, (200,))


@pytest.mark.parametrize("act", ACTIVATIONS, ids=lambda act: type(act).__name__)
def test_a_plan_for_kinked_units_is_off_by_the_bend_of_the_loss_alone(act: nn.Module) -> None:
    """Cross-entropy bends by at most ½ in its logits, so the rest is at most ¼ of their mean squared change."""
    x, y = data()
    torch.manual_seed(1)
    model = Hidden(copy.deepcopy(act)).double()
    before = model(x).detach()
    sculptor = ns.Sculptor(model, x)
    stats = sculptor.measure([(x, y)], F.cross_entropy, step=0.1)
    assert stats.units["up"].kinked
    plan = ns.split(stats, ns.Budget(params="150%"))
    applied = sculptor.apply(plan)
    bound = 0.25 * float((model(x).detach() - before).square().sum(1).mean())
    assert applied.predicted is not None and applied.measured is not None
    assert applied.predicted < 0
    assert abs(applied.measured - applied.predicted) <= bound + 1e-14
    assert bound < 0.2 * abs(applied.predicted)  # or the bound would say nothing


def linear_loss(answer: Tensor, target: Tensor) -> Tensor:
    return answer.gather(1, target[:, None]).mean()


@pytest.mark.parametrize("signed", [None, 3.0])
@pytest.mark.parametrize("kink", ["triangle", 3.0])
def test_a_plan_for_kinked_units_comes_true_where_the_rest_is_straight(kink: str | float, signed: float | None) -> None:
    x, y = data()
    torch.manual_seed(1)
    sculptor = ns.Sculptor(Hidden(nn.ReLU()).double(), x)
    stats = sculptor.measure([(x[:150], y[:150]), (x[150:], y[150:])], linear_loss, step=0.3, kink=kink)
    plan = ns.split(stats, ns.Budget(params="200%"), copies=2 if signed is None else 4, signed=signed)
    applied = sculptor.apply(plan)
    assert applied.predicted is not None and applied.predicted < 0
    assert applied.measured == pytest.approx(applied.predicted, rel=1e-9)


class Line(nn.Module):
    """Units with one weight of their own, and a shift that is given."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.head = nn.Linear(1, 2, bias=False), nn.Linear(2, 1)

    def forward(self, x: Tensor, shift: Tensor) -> Tensor:
        return self.head(torch.relu(self.up(x) + shift))


def test_triangles_as_wide_as_the_step_see_what_the_step_does() -> None:
    """All patches are of length 1 and along the offset, so every triangle is exactly as wide as its move."""
    torch.manual_seed(0)
    x, shift = torch.randn(4000, 1, dtype=torch.float64).sign(), torch.randn(4000, 1, dtype=torch.float64)
    model = Line().double()
    stats = measure(model, ns.trace(model, (x, shift)), [(x, shift, x)], lambda out, _: out.mean(), step=0.05)
    v = torch.ones(2, 1, dtype=torch.float64)
    there, back = (stats.changes({"up": sign * 0.05 * v})["up"] for sign in (1, -1))
    (batch,) = stats.samples()
    quadratic = 0.05**2 * batch["up"].bend.product(stats.coordinates("up"), v)[:, 0]
    assert float(quadratic.abs().min()) > 1e-6
    torch.testing.assert_close(quadratic, there + back)
