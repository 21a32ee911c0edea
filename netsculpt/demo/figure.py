"""The figure: four panels, one message each."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from netsculpt.demo import story
from netsculpt.demo.optional import require
from netsculpt.demo.records import Trial
from netsculpt.demo.tables import mean, stage_of, words

# Okabe and Ito's colours, told apart with any colour vision.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, GREY = "#CC79A7", "#56B4E9", "#7A7A7A"
STYLE = {
    "font.size": 10,
    "axes.titlesize": 11.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.92,
    "legend.handlelength": 2.4,
    "legend.fontsize": 9,
}


def draw(trials: Sequence[Trial], path: Path) -> None:
    """Draw the run to a PNG file.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    matplotlib = require("matplotlib")
    figure_module, canvas = require("matplotlib.figure"), require("matplotlib.backends.backend_agg")
    with matplotlib.rc_context(STYLE):
        figure = figure_module.Figure(figsize=(12.4, 9.2), layout="constrained")
        canvas.FigureCanvasAgg(figure)  # needs no display, and leaves pyplot's state alone
        axes = figure.subplots(2, 2)
        _losses(axes[0, 0], trials)
        _gains(axes[0, 1], trials)
        _pruning(axes[1, 0], trials[0])
        _accuracies(axes[1, 1], trials)
        figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
        figure.savefig(path, dpi=150)


def _losses(axis: Any, trials: Sequence[Trial]) -> None:
    lines = (
        ("grown", BLUE, "split twice"),
        (story.RANDOM, ORANGE, "random splits"),
        (story.NARROW, GREY, "never grown"),
    )
    for name, colour, label in (*lines, (story.SCRATCH, GREEN, "grown widths from scratch")):
        runs = [trial.losses[name] for trial in trials]
        epochs = range(1, len(runs[0]) + 1)
        for run in runs:
            axis.plot(epochs, run, color=colour, alpha=0.18, linewidth=0.9)
        axis.plot(epochs, [mean(values) for values in zip(*runs, strict=True)], color=colour, linewidth=2, label=label)
    first, between, _ = trials[0].epochs
    for number, epoch in enumerate((first, first + between), 1):
        _mark(axis, epoch, f"split {number}", height=0.03)
    axis.set(yscale="log", xlabel="epoch", ylabel="training loss (nats)", title="Training, with two growth rounds")
    axis.legend(loc="upper right")


def _mark(axis: Any, x: float, text: str, height: float) -> None:
    axis.axvline(x, color="#444444", linewidth=1, linestyle=(0, (3, 3)))
    axis.annotate(f" {text}", (x, height), xycoords=("data", "axes fraction"), fontsize=9, color="#444444")


def _gains(axis: Any, trials: Sequence[Trial]) -> None:
    rounds = [growth for trial in trials for growth in trial.rounds if growth.units]
    made = [growth.made for growth in rounds]
    predictions = [-p for r in rounds for p in (r.made.predicted, *(u.predicted for u in r.units))]
    ends = [min(predictions, default=1) / 1.6, max(predictions, default=1) * 1.6]
    axis.plot(ends, ends, color=GREY, linewidth=1.2, zorder=0, label="measured = predicted")
    rises = []
    for number, colour in ((1, BLUE), (2, RED)):
        units = [unit for trial in trials for unit in trial.rounds[number - 1].units]
        fell = [(-u.predicted, -u.measured) for u in units if u.measured < 0]
        rises += [-u.predicted for u in units if u.measured >= 0]
        label = f"round {number}: each unit alone"
        axis.scatter(*_columns(fell), s=34, color=colour, alpha=0.75, linewidth=0, label=label)
    look = {"s": 80, "marker": "D", "facecolor": "none", "edgecolor": "#222222", "linewidth": 1.4}
    axis.scatter(
        *_columns([(-r.predicted, -r.measured) for r in made if r.measured < 0]),
        **look,
        label="a round's units together",
    )
    rises += [-r.predicted for r in made if r.measured >= 0]
    if rises:  # a logarithmic axis has no place for them, and leaving them out would flatter the method
        on_edge = axis.get_xaxis_transform()
        axis.scatter(rises, [0.015] * len(rises), marker="x", color="black", transform=on_edge, label="the loss rose")
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="predicted fall of the loss, −ε²λ/2 (nats)",
        ylabel="measured fall of the loss (nats)",
        title="Splitting: predicted and measured gain",
    )
    axis.legend(loc="upper left")


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _pruning(axis: Any, trial: Trial) -> None:
    pruning = trial.pruning
    assert pruning is not None
    looks = {
        "magnitude": (GREY, "s", "--"),
        "magnitude + refit": (GREY, "s", "-"),
        "uniform": (ORANGE, "^", "-"),
        "line_search": (PURPLE, "v", "-"),
        "least_squares": (SKY, "o", "-"),
        "least squares + refit": (BLUE, "o", "-"),
    }
    for way, (colour, marker, line) in looks.items():
        # The last points are zero but for rounding, which a logarithmic axis cannot show.
        points = [(k, error) for k, error in enumerate(pruning.curves[way], 1) if error > 1e-9]
        face = "white" if line == "--" else colour
        look = {"marker": marker, "markersize": 5, "markerfacecolor": face, "linewidth": 1.8}
        axis.plot(*_columns(points), line, color=colour, label=words(way), **look)
    _mark(axis, pruning.after, f"kept: {pruning.after}", height=0.94)
    axis.set(
        yscale="log",
        xlabel=f"units of {pruning.layer} kept, of {pruning.before}",
        ylabel="unexplained variance (fraction)",
        title="Pruning back: what the next layer no longer sees",
    )
    axis.legend(loc="lower left", ncols=2)


def _accuracies(axis: Any, trials: Sequence[Trial]) -> None:
    shown = (
        (story.SEED, SKY, "o", "narrow seed"),
        (story.GROWN_ONCE, BLUE, "o", "grown once"),
        (story.GROWN, BLUE, "^", "grown twice"),
        (story.PRUNED_TUNED, BLUE, "D", "grown, pruned and tuned"),
        (story.WIDER, PURPLE, "^", "wider and deeper, firefly"),
        (story.WIDER_TUNED, PURPLE, "D", "the same, pruned and tuned"),
        (story.MAGNITUDE_TUNED, GREY, "D", "pruned by magnitude and tuned"),
        (story.NARROW, GREY, "o", "never grown"),
        (story.RANDOM, ORANGE, "^", "random splits"),
        (story.SCRATCH, GREEN, "^", "grown widths from scratch"),
        (story.PRUNED_SCRATCH, GREEN, "D", "pruned widths from scratch"),
    )
    for name, colour, marker, label in shown:
        stages = [stage_of(trial, name) for trial in trials]
        sizes, accuracies = [s.macs for s in stages], [100 * s.test_accuracy for s in stages]
        axis.scatter(sizes, accuracies, s=18, color=colour, marker=marker, alpha=0.35, linewidth=0)
        # Hollow for the controls: what came from scratch often lies right on what was grown.
        face = "none" if colour in (GREEN, ORANGE) else colour
        look = {"facecolor": face, "edgecolor": colour, "linewidth": 1.8, "marker": marker, "label": label}
        axis.scatter(*_centre(trials, name), s=130 if face == "none" else 80, zorder=3, **look)
    for colour, names in (
        (BLUE, (story.SEED, story.GROWN_ONCE, story.GROWN, story.PRUNED_TUNED)),
        (PURPLE, (story.SEED, story.WIDER_TRAINED, story.WIDER, story.WIDER_TUNED)),
    ):
        for start, end in pairwise(_centre(trials, name) for name in names):
            arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.5, "shrinkA": 7, "shrinkB": 7, "alpha": 0.8}
            axis.annotate("", end, start, arrowprops=arrow)
    axis.set(
        xscale="log",
        xlabel="multiply-accumulates of one image",
        ylabel="test accuracy (%)",
        title="Accuracy against size (large: mean of the runs)",
    )
    ticker = require("matplotlib.ticker")
    axis.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(ticker.FuncFormatter(lambda macs, _: f"{macs:,.0f}"))
    axis.xaxis.set_minor_formatter(ticker.NullFormatter())
    axis.legend(loc="lower right")


def _centre(trials: Sequence[Trial], name: str) -> tuple[float, float]:
    stages = [stage_of(trial, name) for trial in trials]
    return mean(s.macs for s in stages), 100 * mean(s.test_accuracy for s in stages)
