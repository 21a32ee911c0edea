"""The figure of the growing GPT: held-out loss against compute and seconds, and whether predictions came true."""

from pathlib import Path
from typing import Any

from bench.experiments.split_fashion_tables import average, by_arm
from netsculpt.demo.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, STYLE
from netsculpt.demo.optional import require

LOOKS = {
    "firefly": (BLUE, "o"),
    "firefly, more data": ("#003A5C", "p"),
    "S2D": (PURPLE, "s"),
    "random units": (ORANGE, "^"),
    "final shape from scratch": (GREEN, "D"),
    "the same, firefly's compute": (SKY, "v"),
    "conventional GPT from scratch": (RED, "P"),
    "never grown": (GREY, "X"),
}


def draw(lines: list[dict[str, Any]], path: Path) -> None:
    """Draw to a PNG file.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    matplotlib = require("matplotlib")
    figure_module, canvas = require("matplotlib.figure"), require("matplotlib.backends.backend_agg")
    found = by_arm({"runs": lines})
    arms = {arm: found[arm] for arm in LOOKS if arm in found}
    with matplotlib.rc_context(STYLE):
        figure = figure_module.Figure(figsize=(15, 4.8), layout="constrained")
        canvas.FigureCanvasAgg(figure)
        left, middle, right = figure.subplots(1, 3)
        _losses(left, arms, "compute", 1e12, "10¹² multiply-accumulates of forward passes, growing included")
        _losses(middle, arms, "seconds", 1.0, "seconds of process time, growing included")
        left.set_title("Held-out loss against compute")
        middle.set_title("… against time")
        middle.legend(loc="upper right")
        _predictions(right, arms)
        figure.savefig(path, dpi=150)


def mean_curve(runs: list[dict[str, Any]], name: str) -> list[tuple[float, float]]:
    """Means over seeds of the points that all have, and of the last ones."""
    curves = [[(point[name], point["loss"]) for point in run["curve"]] for run in runs]
    points = [*zip(*(curve[:-1] for curve in curves), strict=False), tuple(curve[-1] for curve in curves)]
    return [(average(x for x, _ in each), average(loss for _, loss in each)) for each in points]


def _losses(axis: Any, arms: dict[str, Any], name: str, unit: float, label: str) -> None:
    seen = []
    for arm, runs in arms.items():
        colour, marker = LOOKS[arm]
        for run in runs:
            points = [(point[name] / unit, point["loss"]) for point in run["curve"]]
            axis.plot(*zip(*points, strict=True), color=colour, alpha=0.2, linewidth=0.8)
        points = [(x / unit, loss) for x, loss in mean_curve(runs, name)]
        axis.plot(*zip(*points, strict=True), color=colour, linewidth=1.6)
        axis.plot(*points[-1], color=colour, marker=marker, markersize=8, linewidth=1.6, label=arm)
        seen += [loss for _, loss in points[len(points) // 5 :]]
    margin = 0.05 * (max(seen) - min(seen))
    axis.set(xlabel=label, ylabel="loss on held-out text (nats a character)")
    axis.set_ylim(min(seen) - margin, max(seen) + margin)


def _predictions(axis: Any, arms: dict[str, Any]) -> None:
    ends = [0.0]
    for arm, runs in arms.items():
        growths = [each for run in runs for each in run["growths"] if each["predicted"] is not None]
        if not growths:
            continue
        predicted = [-each["predicted"] for each in growths]
        colour, marker = LOOKS[arm]
        look = {"s": 40, "marker": marker, "linewidth": 1}
        axis.scatter(predicted, [-each["measured"] for each in growths], color=colour, **look)
        held = [each["held_before"] - each["held_after"] for each in growths]
        axis.scatter(predicted, held, facecolor="none", edgecolor=colour, **look)
        ends += predicted
    axis.plot([0, max(ends)], [0, max(ends)], color=GREY, linewidth=1.2, zorder=0)
    axis.set(xlabel="predicted fall of the loss (nats)", ylabel="measured fall of the loss (nats)")
    axis.set_title("Growth steps")
    note = "filled: calibration data\nopen: held-out text\nline: measured = predicted"
    axis.text(0.03, 0.97, note, transform=axis.transAxes, va="top", fontsize=9)
