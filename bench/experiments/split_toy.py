"""Descent that is stuck, and splitting that goes on: a few bumps fitted to a curve of many, with one unit at a time.

`python -m bench.experiments.split_toy`: under a minute on one thread.
"""

import argparse
import copy
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.experiments.split_fashion_tables import table
from bench.experiments.split_toy_figure import draw
from netsculpt import Limits, Plan, Sculptor, Widen, split

FIRST, LAST = 3, 7  # units
TRUE_UNITS = 15
STEPS = (1e-3, 1e-2, 0.1, 0.3, 1.0)
POINTS = 200
ROUNDS = 150  # of L-BFGS between two growths, which stops earlier where it stands still
Way = Callable[["Bumps", Tensor, Tensor, int], None]


class Bumps(nn.Module):
    """Σ b exp(-(w x + c)²/2) + a."""

    def __init__(self, units: int) -> None:
        super().__init__()
        self.inside = nn.Linear(1, units, dtype=torch.float64)
        self.outside = nn.Linear(units, 1, dtype=torch.float64)
        with torch.no_grad():
            self.inside.weight.copy_(2 * torch.randn(units, 1))
            self.inside.bias.copy_(-self.inside.weight[:, 0] * (4 * torch.rand(units) - 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.outside(torch.exp(-self.inside(x).square() / 2))


def problem(seed: int) -> tuple[Tensor, Tensor]:
    """A curve of many bumps with random heights, on an even grid, without noise."""
    torch.manual_seed(seed)
    truth = Bumps(TRUE_UNITS)
    x = torch.linspace(-3, 3, POINTS, dtype=torch.float64).unsqueeze(1)
    with torch.no_grad():
        truth.outside.weight.normal_()
        y = truth(x)
        return x, (y - y.mean()) / y.std()


def descend(model: nn.Module, x: Tensor, y: Tensor, rounds: int = ROUNDS) -> float:
    """L-BFGS with line search until it stands still; the mean squared error."""
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=rounds, tolerance_grad=1e-9, tolerance_change=1e-13, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        return float(F.mse_loss(model(x), y))


def steepest(model: Bumps, x: Tensor, y: Tensor, seed: int) -> None:
    """Split the one unit with the lowest eigenvalue, by the length that lowers the loss most."""
    sculptor = Sculptor(model, x[:2])
    stats = sculptor.measure([(x, y)], F.mse_loss)
    plans = [split(stats, Limits(units=1), step=step) for step in STEPS]
    _apply_best(sculptor, [plan for plan in plans if len(plan)], lambda: stats.loss_of(model))


def signed(model: Bumps, x: Tensor, y: Tensor, seed: int) -> None:
    """The same with negative weights allowed, Σ |w| ≤ 3, two copies."""
    sculptor = Sculptor(model, x[:2])
    stats = sculptor.measure([(x, y)], F.mse_loss)
    plans = [split(stats, Limits(units=1), signed=3.0, step=step) for step in STEPS]
    _apply_best(sculptor, [plan for plan in plans if len(plan)], lambda: stats.loss_of(model))


def fresh(model: Bumps, x: Tensor, y: Tensor, seed: int) -> None:
    """A new unit with random incoming weights, drawn as at the start, and nothing going out of it."""
    torch.manual_seed(seed)
    drawn = Bumps(1).inside
    sculptor = Sculptor(model, x[:2])
    (axis,) = sculptor.axes
    init = {"inside.weight": drawn.weight.detach(), "inside.bias": drawn.bias.detach().unsqueeze(1)}
    init["outside.weight"] = torch.zeros(1, 1, dtype=torch.float64)
    sculptor.apply(Plan.of(sculptor.graph, [Widen(axis.name, 1, init)]))


def _apply_best(sculptor: Sculptor, plans: list[Plan], loss: Callable[[], float]) -> None:
    """Nothing where there is no plan: the network is stable under splits."""
    losses = []
    for plan in plans:
        sculptor.apply(plan)
        losses.append(loss())
        sculptor.undo()
    if plans:
        sculptor.apply(plans[losses.index(min(losses))])


WAYS: dict[str, Way] = {"splitting": steepest, "signed splitting": signed, "random new units": fresh}


def trial(seed: int) -> tuple[dict[str, list[float]], dict[str, tuple[Tensor, ...]]]:
    """Losses by number of units for every way, and the curves: data, stuck, and every way's last."""
    x, y = problem(seed)
    torch.manual_seed(1000 + seed)
    stuck = Bumps(FIRST)
    first = descend(stuck, x, y)
    found: dict[str, list[float]] = {"more descent": [first, *_without_growing(stuck, x, y)]}
    curves: dict[str, tuple[Tensor, ...]] = {"data": (x, y), "stuck": (x, stuck(x).detach())}
    for name, grow in WAYS.items():
        model, losses = copy.deepcopy(stuck), [first]
        for number in range(LAST - FIRST):
            grow(model, x, y, seed * 100 + number)
            losses.append(descend(model, x, y))
        found[name], curves[name] = losses, (x, model(x).detach())
    return found, curves


def _without_growing(stuck: Bumps, x: Tensor, y: Tensor) -> list[float]:
    model = copy.deepcopy(stuck)
    return [descend(model, x, y) for _ in range(LAST - FIRST)]


def report(losses: list[dict[str, list[float]]]) -> str:
    head = ["way", *(f"{units} units" for units in range(FIRST, LAST + 1)), "lower than random new units at the end"]
    rows = []
    for name in losses[0]:
        medians = [statistics.median(each) for each in zip(*(found[name] for found in losses), strict=True)]
        wins = sum(found[name][-1] < found["random new units"][-1] for found in losses)
        rows.append([name, *(f"{each:.2e}" for each in medians), f"{wins} of {len(losses)} seeds"])
    text = (
        f"Mean squared error, median of {len(losses)} seeds, after L-BFGS of {ROUNDS} steps at most; the target, "
        f"{TRUE_UNITS} random bumps at {POINTS} points, has variance 1. *More descent* stays at {FIRST} units."
    )
    return f"{text}\n\n{table(head, rows)}\n"


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.split_toy", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    parser.add_argument("--figure", type=Path, help="draw to this PNG file; needs matplotlib")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    trials = [trial(seed) for seed in range(options.seeds)]
    text = report([losses for losses, _ in trials])
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.figure:
        draw([losses for losses, _ in trials], trials[0][1], FIRST, options.figure)


if __name__ == "__main__":
    main()
