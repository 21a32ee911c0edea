"""What the theory says of greedy_select: optimal weights, direct norms, proven rates."""

from typing import Any

import pytest
import torch
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from netsculpt.ops import greedy_select
from tests.ops.test_greedy_select import DTYPES, MODES, contributions, gram_of, relu_gram


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ridge", [0.0, 0.01])
def test_least_squares_is_optimal_on_what_it_chose(dtype: torch.dtype, ridge: float, device: str) -> None:
    """The normal equations hold, every error is the objective, and every choice was the best one."""
    gram = relu_gram(300, dtype).to(device)
    selection = greedy_select(gram, 60, mode="least_squares", ridge=ridge)
    order = selection.order
    k64 = gram.double() + ridge * torch.eye(300, dtype=torch.float64, device=device)
    t = gram.double().sum(1)
    tolerance = 100 * torch.finfo(dtype).eps * float(t.sum())
    assert len(set(order.tolist())) == 60
    for steps in (1, 2, 7, 33, 59):
        chosen = order[:steps]
        factor = torch.linalg.cholesky(k64[chosen][:, chosen])
        w = torch.cholesky_solve(t[chosen, None], factor)[:, 0]
        assert abs(float(t.sum() - w @ t[chosen] - selection.errors[steps - 1])) <= tolerance
        left = t - k64[:, chosen] @ w
        d = k64.diagonal() - torch.linalg.solve_triangular(factor, k64[chosen], upper=False).square().sum(0)
        gain = torch.where(d > 1e-4 * k64.diagonal(), left.square() / d, 0)
        gain[chosen] = 0
        assert float(gain.max() - gain[order[steps]]) <= tolerance
    w64 = selection.weights.double()
    assert set(w64.nonzero().flatten().tolist()) == set(order.tolist())
    residual = (k64 @ w64 - t)[order]
    assert float(residual.abs().max()) <= 1e3 * torch.finfo(dtype).eps * float((k64.abs() @ w64.abs()).max())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_errors_are_norms_of_contributions(mode: Any, dtype: torch.dtype, device: str) -> None:
    """The formulas in the Gram matrix are direct norms, for the weights after every number of steps."""
    c = contributions(25, 40) + 0.5
    gram = gram_of(c, dtype, device)
    full = greedy_select(gram, 12, mode=mode)
    for k in range(1, 13):
        part = greedy_select(gram, k, mode=mode)
        assert torch.equal(part.order, full.order[:k])
        assert torch.equal(part.errors, full.errors[:k])
        direct = float((part.weights.cpu().double() @ c - c.sum(0)).square().sum())
        assert abs(direct - float(part.errors[-1])) <= 1e3 * torch.finfo(dtype).eps * float(c.sum(0).square().sum())


def test_uniform_weights_count_the_choices(device: str) -> None:
    gram = gram_of(contributions(30, 3) + 0.2, torch.float64, device)
    selection = greedy_select(gram, 100)
    count = torch.bincount(selection.order, minlength=30)
    assert int(count.max()) > 1
    torch.testing.assert_close(selection.weights, 30 * count.double() / 100)
    once = greedy_select(gram, 100, repeats=False)
    assert sorted(once.order[:30].tolist()) == list(range(30))
    assert once.order[30:].tolist() == [-1] * 70
    torch.testing.assert_close(once.weights, torch.ones_like(once.weights))
    assert float(once.errors[-1]) <= 1e-12 * float(gram.sum())


def test_line_search_keeps_to_its_proven_rate() -> None:
    """J(k+1) ≤ (1 - r²/diam²) J(k), r from the convex hull; weights stay in the simplex."""
    for seed in range(3):
        vertices = contributions(40, 2, seed)
        selection = greedy_select(gram_of(vertices / 40), 60, mode="line_search")
        hull = ConvexHull(vertices - vertices.mean(0))
        rate = 1 - (-hull.equations[:, -1]).min() ** 2 / pdist(vertices).max() ** 2
        errors = selection.errors[selection.order >= 0]
        floor = 1e-13 * float(vertices.mean(0).square().sum() + vertices.square().sum() / 40)
        assert bool((errors.diff() < 0).all())
        assert bool((errors[1:] <= rate * errors[:-1] + floor).all())
        assert bool((selection.weights >= 0).all())
        assert float(selection.weights.sum()) == pytest.approx(40)


def test_line_search_takes_weight_away(device: str) -> None:
    """The vertex nearest to a target beyond the edge of the others is chosen first, and then emptied, exactly."""
    c = torch.tensor([[0.0, 0.1], [-1.0, 0.0], [1.0, 0.0]], dtype=torch.float64, device=device) / 3
    y = torch.tensor([0.0, -0.02], dtype=torch.float64, device=device)
    selection = greedy_select(c @ c.mT, 60, target=c @ y, target_energy=y @ y, mode="line_search")
    order = selection.order.tolist()
    assert order[0] == 0
    assert order.count(0) > 1
    assert selection.weights[0].item() == 0
    torch.testing.assert_close(selection.weights[1:], torch.full_like(y, 1.5), rtol=0, atol=1e-3)


def test_fixed_step_has_its_proven_slope() -> None:
    """The slope of log J over log k is about -2 where the target is inside the hull."""
    errors = greedy_select(gram_of(contributions(1000, 10)), 2000).errors
    k = torch.arange(20.0, 2000.0, dtype=torch.float64).log()
    y = errors[20:].log()
    slope = float(((k - k.mean()) * (y - y.mean())).sum() / (k - k.mean()).square().sum())
    assert -2.4 < slope < -1.6
