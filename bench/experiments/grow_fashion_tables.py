"""Tables and figure of `grow_fashion`: `python -m … FILE.json --markdown M --figure F`, from its numbers."""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.experiments.split_fashion_tables import average, by_arm, spread, table
from netsculpt.demo.figure import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, SKY, STYLE
from netsculpt.demo.optional import require

Line = dict[str, Any]
LOOKS = {
    "firefly, wider": (BLUE, "o"),
    "firefly, wider, 4 steps": (SKY, "o"),
    "firefly, wider and deeper": (PURPLE, "s"),
    "S2D": (ORANGE, "v"),
    "GradMax": (ORANGE, "^"),
    "TINY": (ORANGE, "D"),
    "Net2Net": (GREEN, "v"),
    "random units": (GREEN, "^"),
    "shape of firefly, wider, from scratch": (RED, "o"),
    "shape of firefly, wider and deeper, from scratch": (RED, "s"),
    "uniform widths, from scratch": (RED, "P"),
    "never grown": (GREY, "X"),
}
SIDES = {"params": "parameters", "macs": "multiply-accumulates of a picture", "seconds": "seconds, growing included"}


def report(found: Line) -> str:
    head = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    about = (
        f"Fashion-MNIST: {found['examples']:,} training pictures, all 10,000 test pictures, {found['seeds']} seeds, "
        f"mean ± standard deviation. {found['epochs']} epochs, growth to {found['budget']:g} times the parameters, as "
        "many epochs again, each stage along half a cosine from 0.1 to 0; what never grows is trained as many epochs "
        "along one. SGD, momentum 0.9, weight decay 1e-4, batches of 128. Seconds are process time of one thread. The "
        "change of the loss is on the calibration pictures, summed over growth steps."
    )
    parts = [f"{head}.", about]
    for name in dict.fromkeys(line["network"] for line in found["lines"]):
        parts += [f"## {name}", network(arms(found, name))]
    return "\n\n".join(parts) + "\n"


def arms(found: Line, name: str) -> dict[str, list[Line]]:
    return by_arm({"runs": [line for line in found["lines"] if line["network"] == name]})


def network(arms: dict[str, list[Line]]) -> str:
    rows = []
    for arm, lines in arms.items():
        cells = [arm, f"{average(line['params'] for line in lines):,.0f}"]
        cells += [f"{average(line['macs'] for line in lines):,.0f}"]
        cells += [spread([100 * line["accuracy"] for line in lines], 2)]
        cells += [f"{average(line['seconds'] for line in lines):.0f}"]
        cells += [f"{average(line.get('growing', 0) for line in lines):.0f}"]
        rows.append([*cells, change(lines, "predicted"), change(lines, "measured")])
    head = ["arm", "parameters", "MACs", "accuracy, %", "seconds", "of which growing"]
    return table([*head, "predicted change of the loss", "measured"], rows)


def change(lines: list[Line], key: str) -> str:
    steps = [line.get(key, [None]) for line in lines]
    known = all(value is not None for each in steps for value in each)
    return f"{average(map(sum, steps)):+.4f}" if known else ""


def draw(found: Line, path: Path) -> None:
    """Draw to a PNG file.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    matplotlib = require("matplotlib")
    figure_module, canvas = require("matplotlib.figure"), require("matplotlib.backends.backend_agg")
    names = list(dict.fromkeys(line["network"] for line in found["lines"]))
    with matplotlib.rc_context(STYLE):
        figure = figure_module.Figure(figsize=(14.5, 4.4 * len(names) + 0.7), layout="constrained")
        canvas.FigureCanvasAgg(figure)
        for row, name in zip(figure.subplots(len(names), len(SIDES), squeeze=False), names, strict=True):
            for axis, (key, label) in zip(row, SIDES.items(), strict=True):
                for arm, lines in arms(found, name).items():
                    colour, marker = LOOKS[arm]
                    accuracies = [100 * line["accuracy"] for line in lines]
                    sizes = [line[key] for line in lines]
                    axis.scatter(sizes, accuracies, s=10, color=colour, marker=marker, alpha=0.35, linewidth=0)
                    axis.scatter([average(sizes)], [average(accuracies)], s=50, color=colour, marker=marker, label=arm)
                axis.set(xlabel=label, ylabel="test accuracy (%)", title=name)
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
        figure.savefig(path, dpi=150)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.grow_fashion_tables", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    parser.add_argument("--figure", type=Path, help="draw to this PNG file; needs matplotlib")
    options = parser.parse_args(given)
    found = json.loads(options.file.read_text())
    text = report(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.figure:
        draw(found, options.figure)


if __name__ == "__main__":
    main()
