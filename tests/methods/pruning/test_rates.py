"""G2 and G3: how fast greedy selection has to get better, against constants taken from the geometry itself.

N units are seen as the points φ_i = N c_i, whose mean is what all of them add: the target. diam is the diameter of
the points, D the largest distance of one from the target, r the radius of the largest ball around the target inside
their hull.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.methods.pruning.curves import combined
from netsculpt.ops import greedy_select

SEEDS = 12
STEPS = 1000
FIRST = 20  # step from which slopes are fitted


def points(count: int, dim: int, seed: int) -> Tensor:
    return torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def radius(phi: Tensor, target: Tensor) -> float:
    hull = pytest.importorskip("scipy.spatial").ConvexHull((phi - target).numpy())
    return float((-hull.equations[:, -1]).min())


def slope(errors: Tensor) -> float:
    """Of log J over log k, J the mean over problems: [B, k]."""
    k = torch.arange(FIRST, errors.shape[1] + 1, dtype=torch.float64).log()
    y = errors.mean(0)[FIRST - 1 :].log()
    return float(((k - k.mean()) * (y - y.mean())).sum() / (k - k.mean()).square().sum())


def keeps_to_its_rate(phi: Tensor, errors: Tensor) -> None:
    """J(k+1) ≤ (1 - r²/diam²) J(k), ``errors`` those of the steps taken, and every one lower than the one before."""
    target = phi.mean(0)
    rate = 1 - radius(phi, target) ** 2 / float(torch.pdist(phi).max()) ** 2
    rounding = 1e-13 * float(phi.square().sum(1).max())
    assert 0 < rate < 1 and len(errors) > 10
    assert bool((errors.diff() < 0).all())
    assert bool((errors[1:] <= rate * errors[:-1] + rounding).all())


@pytest.mark.parametrize(("count", "dim"), [(6, 2), (10, 3), (60, 4), (300, 5)])
def test_line_search_in_several_dimensions(count: int, dim: int) -> None:
    for seed in range(3):
        phi = points(count, dim, seed)
        selection = greedy_select(phi @ phi.T / count**2, 80, mode="line_search")
        keeps_to_its_rate(phi, selection.errors[selection.order >= 0])


def test_line_search_on_a_measured_network() -> None:
    """The same of what measuring makes of a layer: four examples and one output are four dimensions."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 80), nn.Tanh(), nn.Linear(80, 1, bias=False)).double()
    x = torch.randn(4, 3, dtype=torch.float64)
    stats = ns.Sculptor(model, x[:2]).measure([(x, torch.zeros(4, 1).double())], F.mse_loss, for_="prune")
    (axis,) = stats.consumers
    selection = greedy_select(combined(stats.consumers[axis], stats.grams([axis])[axis]), 60, mode="line_search")
    phi = 80 * (model[:2](x) * model[2].weight).T.detach()
    energy = float(phi.mean(0).square().sum())
    keeps_to_its_rate(phi, energy * selection.errors[selection.order >= 0])


@pytest.mark.parametrize(("count", "dim"), [(60, 2), (120, 3), (300, 5)])
def test_fixed_step_keeps_to_its_constant(count: int, dim: int) -> None:
    """J(k) ≤ max(D, D²/2r)² / k²: k ‖Y - Y_k‖ grows by less than D in a step, and not where it is above D²/2r."""
    phi = points(count, dim, 0)
    centred = phi - phi.mean(0)
    longest = float(centred.norm(dim=1).max())
    most = max(longest, longest**2 / (2 * radius(phi, phi.mean(0)))) ** 2
    errors = greedy_select(phi @ phi.T / count**2, STEPS).errors
    k = torch.arange(1, STEPS + 1)
    assert bool((k**2 * errors <= most).all())


def test_fixed_step_falls_with_the_square_inside() -> None:
    grams = torch.stack([each @ each.T / len(each) ** 2 for each in (points(500, 10, seed) for seed in range(SEEDS))])
    assert slope(greedy_select(grams, STEPS).errors) == pytest.approx(-2, abs=0.2)


def test_fixed_step_falls_linearly_on_a_face() -> None:
    """The target is the mean of some points of a face, all others lie to one side: J(k) ≤ D²/k is all that holds."""
    grams, targets, energies, longest = [], [], [], []
    for seed in range(SEEDS):
        phi = points(500, 10, seed)
        phi[:, 0] = phi[:, 0].abs()
        phi[:20, 0] = 0
        y = phi[:20].mean(0)
        grams.append(phi @ phi.T / len(phi) ** 2)
        targets.append(phi @ y / len(phi))
        energies.append(y @ y)
        longest.append((phi - y).norm(dim=1).max())
    errors = greedy_select(torch.stack(grams), STEPS, torch.stack(targets), torch.stack(energies)).errors
    assert bool((torch.arange(1, STEPS + 1) * errors <= torch.stack(longest).square()[:, None]).all())
    assert slope(errors) == pytest.approx(-1, abs=0.25)


def test_random_choice_falls_linearly() -> None:
    """With repeats, as the fixed step may choose a unit again."""
    errors = []
    for seed in range(SEEDS):
        phi = points(500, 10, seed)
        drawn = torch.randint(500, (STEPS,), generator=torch.Generator().manual_seed(100 + seed))
        means = phi[drawn].cumsum(0) / torch.arange(1, STEPS + 1)[:, None]
        errors.append((means - phi.mean(0)).square().sum(1))
    assert slope(torch.stack(errors)) == pytest.approx(-1, abs=0.2)
