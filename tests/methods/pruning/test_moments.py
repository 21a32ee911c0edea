"""Both ways to fit a consumer, against least squares on the rows themselves."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from netsculpt.methods.pruning.moments import Data, Rows, Sums, best_ridge

WAYS: dict[str, Callable[[], Data]] = {"sums": lambda: Sums(2, 3, 7, torch.device("cpu")), "rows": Rows}


def drawn(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Two groups, 7 inputs, 3 results that depend on them, with means."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, n, 7, generator=generator, dtype=torch.float64) + 1
    w = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, x @ w.mT + 2 + 0.5 * torch.randn(2, n, 3, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("n", [4, 30])
@pytest.mark.parametrize("way", WAYS)
def test_solutions_are_those_of_ridge_regression(way: str, n: int, centred: bool) -> None:
    x, y = drawn(n, 1)
    start = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    first, second = WAYS[way](), WAYS[way]()
    first.add(x[:, :3], y[:, :3])
    second.add(x[:, 3:], y[:, 3:])
    assert first.count + second.count == n
    fit = first.joint([second], centred)
    found = fit.solution(start, 0.1)
    inner, wanted = (each - each.mean(1, keepdim=True) if centred else each for each in (x, y))
    for group in range(2):
        damping = 0.1 * float(inner[group].square().mean()) * n
        rows = torch.cat([inner[group], damping**0.5 * torch.eye(7, dtype=x.dtype)])
        right = torch.cat([wanted[group] - inner[group] @ start[group].T, torch.zeros(7, 3, dtype=x.dtype)])
        torch.testing.assert_close(found[group], start[group] + torch.linalg.lstsq(rows, right).solution.T)
    left = wanted - inner @ found.mT
    assert fit.error(found) == pytest.approx(float(left.square().sum() / wanted.square().sum()))
    torch.testing.assert_close(fit.constant(found), (y - x @ found.mT).mean(1))
    if centred:
        off = fit.constant(found) + 0.3
        shifted = y - x @ found.mT - off.unsqueeze(1)
        assert fit.error(found, off) == pytest.approx(float(shifted.square().sum() / wanted.square().sum()))


@pytest.mark.parametrize("way", WAYS)
def test_little_data_is_held_close_to_the_start(way: str) -> None:
    w = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ridges = (1e-6, 1e-2, 1e2)
    for n, best in ((8, 1e2), (4000, 1e-6)):
        halves = [WAYS[way](), WAYS[way]()]
        for seed, half in enumerate(halves):
            half.add(*drawn(n // 2, seed + 5))
        near = w if n == 8 else w + 1  # where the truth is, so that pulling there helps; or not
        assert best_ridge(halves, near, ridges, centred=True) == best


def test_one_half_alone_takes_the_smallest() -> None:
    halves: list[Data] = [Rows(), Rows()]
    halves[0].add(*drawn(5, 0))
    assert best_ridge(halves, torch.zeros(2, 3, 7, dtype=torch.float64), (0.5, 1.0), centred=True) == 0.5
