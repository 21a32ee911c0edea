"""The figure of the experiment: error against iterations, and against distinct units in use."""

from pathlib import Path
from typing import Any

from bench.experiments.decay_descents import FLOOR, looks
from bench.experiments.decay_tables import path
from netsculpt.demo.figure import BLUE, GREEN, GREY, ORANGE, RED, STYLE
from netsculpt.demo.optional import require

COLOURS = {"line search": BLUE, "fixed step": ORANGE, "least squares": GREEN, "random": RED}
Found = dict[str, Any]


def draw(found: Found, file: Path) -> None:
    """Draw to a PNG file.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    matplotlib = require("matplotlib")
    figure_module, canvas = require("matplotlib.figure"), require("matplotlib.backends.backend_agg")
    layers = found["layers"]
    with matplotlib.rc_context(STYLE):
        figure = figure_module.Figure(figsize=(4.2 * len(layers), 7.6), layout="constrained")
        canvas.FigureCanvasAgg(figure)
        upper, lower = figure.subplots(2, len(layers))
        for above, below, layer in zip(upper, lower, layers, strict=True):
            _by_iterations(above, layer)
            _by_units(below, layer)
        for axis in (upper[0], lower[0]):
            axis.set_ylabel("relative squared error")
        lower[-1].legend(loc="lower left")
        figure.savefig(file, dpi=150)


def _by_iterations(axis: Any, layer: Found) -> None:
    for each in layer["descents"]:
        steps = [k for k in looks(len(each["errors"])) if each["errors"][k - 1] >= FLOOR]
        errors = [each["errors"][k - 1] for k in steps]
        axis.plot(steps, errors, color=COLOURS[each["method"]], linewidth=1.9, label=each["method"])
    _guides(axis, layer)
    axis.set(xscale="log", yscale="log", xlabel="iterations", ylim=(FLOOR, None))
    axis.set_title(layer["title"], fontsize=10.5)


def _guides(axis: Any, layer: Found) -> None:
    """How 1/k and 1/k² fall, from where two of the ways begin."""
    for method, power in (("random", 1), ("fixed step", 2)):
        errors = next(each["errors"] for each in layer["descents"] if each["method"] == method)
        ends = [10, len(errors)]
        axis.plot(ends, [errors[9] * (10 / k) ** power for k in ends], ":", color=GREY, linewidth=1.2)
        axis.annotate(f"$k^{{-{power}}}$", (ends[1], errors[9] * (10 / ends[1]) ** power), color=GREY, fontsize=9)


def _by_units(axis: Any, layer: Found) -> None:
    for each in layer["descents"]:
        pairs = [(units, error) for units, error in path(each) if error >= FLOOR]
        units, errors = zip(*pairs, strict=True)
        marks = {"marker": "o", "markersize": 3} if len(pairs) < 30 else {}
        axis.plot(units, errors, color=COLOURS[each["method"]], linewidth=1.9, label=each["method"], **marks)
    axis.set(xscale="log", yscale="log", xlabel="distinct units in use", ylim=(FLOOR, None))
