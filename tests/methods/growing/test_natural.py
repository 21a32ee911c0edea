"""The gain of a natural gradient: its formula by hand, and that new units add what they are said to add."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import Statistics, measure
from netsculpt.methods.growing import NaturalGain
from netsculpt.methods.growing.initial import tiny


def batches(model_out: int, seed: int = 0, n: int = 60) -> list[tuple[Tensor, Tensor]]:
    x = torch.randn(n, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    y = torch.randn(n, model_out, dtype=torch.float64, generator=torch.Generator().manual_seed(seed + 1))
    return list(zip(x.split(20), y.split(20), strict=True))


def linear(hidden: int = 2) -> nn.Sequential:
    """A network that is linear, though its units count as such."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, hidden), nn.LeakyReLU(1.0), nn.Linear(hidden, 4)).double()


def measured(model: nn.Module, data: list[tuple[Tensor, Tensor]]) -> Statistics:
    return measure(model, ns.trace(model, data[0][0]), data, F.mse_loss, for_="grow")


def by_hand(model: nn.Sequential, data: list[tuple[Tensor, Tensor]], damping: float) -> float:
    """gᵀ(A ⊗ B)⁻¹g of the last layer, the Kronecker product formed."""
    x, y = (torch.cat(each) for each in zip(*data, strict=True))
    h = torch.cat([model[:-1](x), x.new_ones(len(x), 1)], 1).detach()
    z = model(x).detach().requires_grad_()
    losses = (z - y).square().mean(1)
    (g,) = torch.autograd.grad(losses.sum(), z)
    a, b = h.T @ h / len(x), g.T @ g / len(x)
    b += damping * b.diagonal().mean() * torch.eye(len(b), dtype=b.dtype)
    gradient = (g.T @ h / len(x)).flatten()
    return float(gradient @ torch.linalg.solve(torch.kron(b, a), gradient))


def test_the_gain_is_that_of_the_kronecker_factored_fisher() -> None:
    model, data = linear(), batches(4)
    (found,) = ns.natural_gains(measured(model, data), damping=1e-2).values()
    assert found.now == pytest.approx(by_hand(model, data, 1e-2), rel=1e-8)


def best(model: nn.Sequential, data: list[tuple[Tensor, Tensor]], count: int) -> Tensor:
    """Incoming weights, and a bias, of the units that answer best what is left of the gradient, measured in B."""
    x, y = (torch.cat(each) for each in zip(*data, strict=True))
    inputs, h = (torch.cat([each, x.new_ones(len(x), 1)], 1).detach() for each in (x, model[:-1](x)))
    g = 2 * (model(x).detach() - y) / y.shape[1]
    left = g - h @ torch.linalg.lstsq(h, g).solution
    left = left @ torch.linalg.inv(torch.linalg.cholesky(g.T @ g / len(g))).T
    root = torch.linalg.inv(torch.linalg.cholesky(inputs.T @ inputs))
    return torch.linalg.svd(root @ inputs.T @ left).U[:, :count].T @ root


def wider(model: nn.Sequential, units: Tensor) -> nn.Sequential:
    """With these units, that count for nothing yet."""
    grown = linear(2 + len(units))
    with torch.no_grad():
        grown[0].weight.copy_(torch.cat([model[0].weight, units[:, :-1]]))
        grown[0].bias.copy_(torch.cat([model[0].bias, units[:, -1]]))
        grown[2].weight.copy_(torch.cat([model[2].weight, units.new_zeros(4, len(units))], 1))
        grown[2].bias.copy_(model[2].bias)
    return grown


@pytest.mark.parametrize("count", [1, 2])
def test_new_units_of_a_linear_network_add_what_they_are_said_to(count: int) -> None:
    model, data = linear(), batches(4)
    stats = measured(model, data)
    (axis,) = (axis.name for axis in stats.graph if axis.size == 2)
    found = ns.natural_gains(stats, [axis], units=count / 2, damping=0.0)[axis]
    assert by_hand(wider(model, best(model, data, count)), data, 0.0) == pytest.approx(found.now + found.new, rel=1e-8)
    for seed in range(20):
        drawn = torch.randn(count, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        assert by_hand(wider(model, drawn), data, 0.0) < found.now + found.new


def test_a_network_that_can_do_its_task_has_less_to_gain() -> None:
    torch.manual_seed(0)
    teacher = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 4)).double()
    x = torch.randn(240, 5, dtype=torch.float64)
    data = [(each, teacher(each).detach() + 0.1 * torch.randn(len(each), 4)) for each in x.split(60)]

    def trained(hidden: int) -> NaturalGain:
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(5, hidden), nn.Tanh(), nn.Linear(hidden, 4)).double()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(300):
            for a, b in data:
                optimizer.zero_grad()
                F.mse_loss(model(a), b).backward()
                optimizer.step()
        stats = measured(model, data)
        return max(ns.natural_gains(stats, units=1 / hidden).values(), key=lambda gain: gain.new)

    assert trained(1).new > 5 * trained(6).new


def test_convolutions_are_followed_and_what_is_not_is_left_out() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(12, 5)),
    )
    data = [(torch.randn(16, 1, 8, 8), torch.randint(0, 5, (16,))) for _ in range(3)]
    stats = measure(model, ns.trace(model, data[0][0]), data, F.cross_entropy, for_="grow")
    found = ns.natural_gains(stats)
    assert len(found) == 2 and all(gain.now > 0 and gain.new > 0 for gain in found.values())
    axis = next(iter(found))
    more = ns.natural_gains(stats, [axis], units=2.0)[axis]
    assert more.new > found[axis].new and more.now == pytest.approx(found[axis].now)


def test_bad_arguments_are_told() -> None:
    stats = measured(linear(), batches(4))
    with pytest.raises(ns.errors.ArgumentError, match="units must be above 0"):
        ns.natural_gains(stats, units=0)
    curved = nn.Sequential(nn.Linear(5, 3), nn.Sigmoid(), nn.Linear(3, 4)).double()
    with pytest.raises(ns.errors.MeasureError, match="known for no axis"):
        ns.natural_gains(measured(curved, batches(4)))


def test_tiny_is_what_it_counts_where_gradients_count_alike() -> None:
    """With B made an identity by its damping, the new gain is the sum of tiny's."""
    model, data = linear(), batches(4)
    stats = measured(model, data)
    (axis,) = (axis.name for axis in stats.graph if axis.size == 2)
    z = torch.cat([model(x) for x, _ in data]).detach()
    g = 2 * (z - torch.cat([y for _, y in data])) / 4
    scale = 1e9 * float((g.T @ g / len(g)).diagonal().mean())
    found = ns.natural_gains(stats, [axis], units=0.5, damping=1e9)[axis]
    assert found.new * scale == pytest.approx(float(tiny(stats, axis, 1).gains.sum()), rel=1e-6)
