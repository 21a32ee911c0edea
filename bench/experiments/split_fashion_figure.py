"""The figure of the experiment: accuracy against size, and whether predictions came true."""

from pathlib import Path
from typing import Any

from bench.experiments.split_fashion_tables import average, by_arm
from netsculpt.demo.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, STYLE
from netsculpt.demo.optional import require

LOOKS = {
    "S2D": (BLUE, "o"),
    "signed": (PURPLE, "s"),
    "energy-aware": (SKY, "v"),
    "random splits": (ORANGE, "^"),
    "S2D widths from scratch": (GREEN, "D"),
    "the same, restarted cosines": (GREEN, "d"),
    "uniform from scratch": (RED, "P"),
    "seed widths, never grown": (GREY, "X"),
}


def draw(found: dict[str, Any], path: Path) -> None:
    """Draw to a PNG file.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    matplotlib = require("matplotlib")
    figure_module, canvas = require("matplotlib.figure"), require("matplotlib.backends.backend_agg")
    arms = by_arm(found)
    with matplotlib.rc_context(STYLE):
        figure = figure_module.Figure(figsize=(14.5, 4.6), layout="constrained")
        canvas.FigureCanvasAgg(figure)
        left, middle, right = figure.subplots(1, 3)
        _accuracies(left, arms, "params", "parameters")
        _accuracies(middle, arms, "macs", "multiply-accumulates of one picture")
        left.set_title("Test accuracy against parameters")
        middle.set_title("… against multiply-accumulates")
        left.legend(loc="lower right")
        _gains(right, arms)
        figure.savefig(path, dpi=150)


def _accuracies(axis: Any, arms: dict[str, Any], size: str, label: str) -> None:
    for arm, runs in arms.items():
        colour, marker = LOOKS[arm]
        stages = [[run["stages"][number] for run in runs] for number in range(len(runs[0]["stages"]))]
        for each in stages:
            sizes, accuracies = [s[size] for s in each], [100 * s["test_accuracy"] for s in each]
            axis.scatter(sizes, accuracies, s=12, color=colour, marker=marker, alpha=0.35, linewidth=0)
        centres = [(average(s[size] for s in each), 100 * average(s["test_accuracy"] for s in each)) for each in stages]
        look = {"color": colour, "marker": marker, "markersize": 7, "linewidth": 1.6, "label": arm}
        axis.plot([x for x, _ in centres], [y for _, y in centres], **look)
    axis.set(xlabel=label, ylabel="test accuracy (%), mean of the seeds")


def _gains(axis: Any, arms: dict[str, Any]) -> None:
    ends = [1.0, 0.0]
    for arm, runs in arms.items():
        pairs = [pair for run in runs for each in run["growths"] for pair in each["losses"].values()]
        falls = [(-predicted, -measured) for predicted, measured in pairs if predicted < 0 and measured < 0]
        if not falls:
            continue
        colour, marker = LOOKS[arm]
        axis.scatter(*zip(*falls, strict=True), s=22, color=colour, marker=marker, alpha=0.7, linewidth=0)
        ends = [min(ends[0], *(x for x, _ in falls)), max(ends[1], *(x for x, _ in falls))]
    axis.plot(ends, ends, color=GREY, linewidth=1.2, zorder=0, label="measured = predicted")
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="predicted fall of the loss (nats)",
        ylabel="measured fall of the loss (nats)",
        title="Growth steps, all lengths tried that lowered it",
    )
    axis.legend(loc="upper left")
