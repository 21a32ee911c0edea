"""The tables of the experiment, from its numbers alone."""

import math
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.experiments.decay_descents import DRAWS, FLOOR, looks
from bench.experiments.split_fashion_tables import table

Found = dict[str, Any]
FIRST = 20  # step from which rates are fitted, where there are at least five times as many
KEPT = (4, 8, 16, 32, 64, 128, 256, 512)
ITERATIONS = (1, 3, 10, 30, 100, 300, 1000, 4000)


class Fit(NamedTuple):
    """A straight line through logarithms: its slope, and the share of their variance that it explains."""

    slope: float
    r2: float


def report(found: Found) -> str:
    head = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    network = found["network"]
    text = (
        "Squared error of what the kept units add to the next layer, relative to what all units add, on the data that "
        "was measured. The two-layer network was trained on a function of five inputs; the CNN has "
        f"{'-'.join(map(str, network['widths']))} channels, was trained for {network['epochs']} epochs on "
        f"{found['examples']:,} pictures of Fashion-MNIST, and its middle layer is measured on {network['pictures']} "
        "of them. Constants are free, as a bias or a batch norm makes up for them, so n examples and one output are "
        f"n - 1 dimensions. *Random*: units drawn with repeats, the mean of {DRAWS} draws. Errors below {FLOOR:g} are "
        "rounding. One thread."
    )
    parts = [f"{head}.", text, "## Fitted rates", RATES, rates(found["layers"])]
    parts += ["## The bound of every step of line search", BOUND, bounds(found["layers"])]
    parts += ["## Error by iterations, and distinct units in use", iterations(found["layers"])]
    parts += ["## Lowest error with at most so many distinct units", by_kept(found["layers"])]
    return "\n\n".join(parts) + "\n"


RATES = (
    "Straight lines fitted over the steps given, but for those whose error is rounding: log error over log k (a power "
    "of the number of steps), and log error over k (a factor in every step), each with its R². The better of the two "
    "is the law that the method follows there."
)
BOUND = (
    "J(k+1) ≤ (1 - r²/diam²) J(k), r the radius of the largest ball around the target in the hull of the N units: from "
    "the hull where it has few dimensions, in closed form where it is a simplex (N units in N - 1 dimensions)."
)


def rates(layers: list[Found]) -> str:
    rows = []
    for layer in layers:
        for each in layer["descents"]:
            first, last = fitted(each["errors"])
            power, factor = fits(each["errors"])
            laws = [f"{power.slope:.2f}", f"{power.r2:.3f}", f"{math.exp(factor.slope):.4f}", f"{factor.r2:.3f}"]
            better = "a power" if power.r2 > factor.r2 else "exponential"
            rows.append([layer["title"], each["method"], f"{first} to {last}", *laws, better])
    head = ["layer", "method", "steps", "slope of log error over log k", "R²", "factor of a step", "R²", "better law"]
    return table(head, rows)


def fitted(errors: list[float]) -> tuple[int, int]:
    """First and last step of what rates are fitted to."""
    last = max(k for k, error in enumerate(errors, 1) if error >= FLOOR)
    return (FIRST if last >= 5 * FIRST else 1), last


def fits(errors: list[float]) -> tuple[Fit, Fit]:
    """A power of the number of steps, fitted at steps ever further apart, and a factor in every step."""
    first, last = fitted(errors)
    logs = torch.tensor(errors, dtype=torch.float64).clamp(min=FLOOR / 2).log()
    spread, every = (
        torch.tensor([k for k in steps if k >= first and errors[k - 1] >= FLOOR])
        for steps in (looks(last), range(first, last + 1))
    )
    return _fit(spread.double().log(), logs[spread - 1]), _fit(every.double(), logs[every - 1])


def _fit(x: Tensor, y: Tensor) -> Fit:
    x, y = x - x.mean(), y - y.mean()
    slope = (x * y).sum() / x.square().sum()
    return Fit(float(slope), float(1 - (y - slope * x).square().sum() / y.square().sum()))


def bounds(layers: list[Found]) -> str:
    rows = []
    for layer in layers:
        geometry, errors = layer["geometry"], layer["descents"][0]["errors"]
        dimension, radius, diameter = (geometry[name] for name in ("dimension", "radius", "diameter"))
        ratios = [after / before for before, after in pairwise(errors) if after >= FLOOR]
        row = [layer["title"], str(dimension)]
        if radius is None:
            rows.append([*row, "not computed", f"{diameter:.3g}", "", f"{max(ratios):.6f}", f"{len(ratios)}", ""])
            continue
        square = (radius / diameter) ** 2
        above = sum(ratio > 1 - square for ratio in ratios)
        bound = f"1 - {square:.2g}"
        rows.append(
            [*row, f"{radius:.3g}", f"{diameter:.3g}", bound, f"{max(ratios):.6f}", f"{len(ratios)}", f"{above}"]
        )
    head = ["layer", "dimensions", "r", "diam", "1 - r²/diam²", "largest J(k+1)/J(k)", "steps", "above the bound"]
    return table(head, rows)


def iterations(layers: list[Found]) -> str:
    rows = []
    for layer in layers:
        for each in layer["descents"]:
            cells = [_at(each, k) for k in ITERATIONS]
            rows.append([layer["title"], each["method"], *cells])
    return table(["layer", "method", *(f"k = {k}" for k in ITERATIONS)], rows)


def _at(descent: Found, k: int) -> str:
    """Of the last step that was looked at until k; none where the method had ended a good while before."""
    kept = {int(step): units for step, units in descent["kept"].items()}
    step = max(each for each in kept if each <= k)
    if step < 0.8 * k:
        return ""
    return f"{_error(descent['errors'][step - 1])} ({kept[step]:.0f})"


def by_kept(layers: list[Found]) -> str:
    rows = []
    for layer in layers:
        for each in layer["descents"]:
            lowest = [_lowest(each, count) for count in KEPT]
            rows.append([layer["title"], each["method"], *("" if error is None else _error(error) for error in lowest)])
    return table(["layer", "method", *(f"{count} units" for count in KEPT)], rows)


def path(descent: Found) -> list[tuple[float, float]]:
    """Distinct units in use and the lowest error with at most as many, wherever it was looked."""
    pairs = sorted((units, descent["errors"][int(step) - 1]) for step, units in descent["kept"].items())
    found: list[tuple[float, float]] = []
    for units, error in pairs:
        if not found or error < found[-1][1]:
            found.append((units, error))
    return found


def _lowest(descent: Found, count: int) -> float | None:
    return min((error for units, error in path(descent) if units <= count), default=None)


def _error(value: float) -> str:
    return f"{value:.1e}" if value >= FLOOR else f"< {FLOOR:.0e}"
