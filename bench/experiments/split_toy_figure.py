"""The figure of the toy: one fit before and after, and the error as units come, seed by seed."""

import statistics
from pathlib import Path

from torch import Tensor

from netsculpt.demo.figure import BLUE, GREY, ORANGE, PURPLE, STYLE
from netsculpt.demo.optional import require

COLOURS = {"more descent": GREY, "splitting": BLUE, "signed splitting": PURPLE, "random new units": ORANGE}


def draw(losses: list[dict[str, list[float]]], curves: dict[str, tuple[Tensor, ...]], first: int, path: Path) -> None:
    """Draw to a PNG file.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    matplotlib = require("matplotlib")
    figure_module, canvas = require("matplotlib.figure"), require("matplotlib.backends.backend_agg")
    with matplotlib.rc_context(STYLE):
        figure = figure_module.Figure(figsize=(11.5, 4.4), layout="constrained")
        canvas.FigureCanvasAgg(figure)
        left, right = figure.subplots(1, 2)
        for name, (x, y) in curves.items():
            colour = {"data": "black", "stuck": GREY, **COLOURS}[name]
            style = ":" if name == "data" else "-"
            label = {"data": "target", "stuck": f"stuck with {first} units"}.get(name, f"{name}, in the end")
            left.plot(x[:, 0].tolist(), y[:, 0].tolist(), style, color=colour, linewidth=1.8, label=label)
        left.set(xlabel="x", ylabel="y", title="The first seed")
        left.legend(loc="best")
        for name, colour in COLOURS.items():
            runs = [found[name] for found in losses]
            units = range(first, first + len(runs[0]))
            for run in runs:
                right.plot(units, run, color=colour, alpha=0.15, linewidth=0.9)
            middle = [statistics.median(each) for each in zip(*runs, strict=True)]
            right.plot(units, middle, "o-", color=colour, linewidth=2, markersize=5, label=name)
        right.set(yscale="log", xlabel="units (rounds of more descent)", ylabel="mean squared error")
        right.set_title("After descent to a standstill: median and all seeds")
        right.legend(loc="lower left")
        figure.savefig(path, dpi=150)
