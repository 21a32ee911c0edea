"""Tables and figure of `prune_fashion`: `python -m … FILE.json … --markdown M --figure F`, from its numbers."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.experiments.split_fashion_tables import average, spread, table
from netsculpt.demo.figure import BLUE, GREY, ORANGE, PURPLE, RED, SKY, STYLE
from netsculpt.demo.optional import require

Line = dict[str, Any]
LOOKS = {
    "local, refit": (BLUE, "o"),
    "both, refit": (PURPLE, "s"),
    "local, scales": (SKY, "v"),
    "l2 + our refit": (ORANGE, "D"),
    "best criterion": (RED, "^"),
    "best criterion, norms measured anew": (RED, "P"),
    "random": (GREY, "X"),
}
SHARES = (0.7, 0.5, 0.3)  # the peer comes close to them
CRITERIA = ("l1", "l2", "lamp", "geometric_median", "batch_norm_scale", "random", "activation_mean", "apoz")
CRITERIA += ("taylor", "taylor_weights", "fisher", "obd")


def report(files: Iterable[Line]) -> str:
    parts = []
    for found in files:
        lines = [line for line in found["lines"] if "error" not in line]
        head = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
        parts.append(f"{head}; {found['calibration']} training pictures for calibration.")
        for name in dict.fromkeys(line["network"] for line in lines):
            parts += [f"## {name}", network([line for line in lines if line["network"] == name])]
        refused = sorted({(line["way"], line["error"]) for line in found["lines"] if "error" in line})
        parts += [f"- {way}: {error}" for way, error in refused]
    return "\n\n".join(parts) + "\n"


def network(lines: list[Line]) -> str:
    """Every way at every share: mean ± standard deviation over seeds."""
    whole = [100 * line["accuracy"] for line in lines if line["way"] == "unpruned"]
    rows = [["unpruned", "1", str(len(whole)), "", "", spread(whole, 2), "", "", ""]]
    for way, share in sorted(by_way(lines), key=lambda key: -key[1]):
        each = by_way(lines)[way, share]
        cells = [way, f"{share:g}", str(len(each)), f"{average(x['params'] for x in each):,.0f}"]
        cells += [f"{average(x['macs'] for x in each):,.0f}"]
        for key in ("accuracy", "recalibrated", "finetuned"):
            values = [100 * x[key] for x in each if key in x]
            cells.append(spread(values, 2) if values else "")
        rows.append([*cells, f"{average(x['seconds'] for x in each):.1f}" if "seconds" in each[0] else ""])
    head = ["way", "share of MACs", "seeds", "parameters", "MACs", "accuracy, %", "norms measured anew, %"]
    return table([*head, "one epoch later, %", "seconds"], rows)


def by_way(lines: list[Line]) -> dict[tuple[str, float], list[Line]]:
    found: dict[tuple[str, float], list[Line]] = {}
    for line in lines:
        if line["way"] != "unpruned":
            name = f"torch-pruning {line['way']}, {line['ranking']}" if line.get("peer") else line["way"]
            share = min(SHARES, key=lambda each: abs(each - line["share"])) if line.get("peer") else line["share"]
            found.setdefault((name, share), []).append(line)
    return found


def curves(lines: list[Line]) -> dict[str, dict[float, float]]:
    """Way of ``LOOKS`` -> share -> mean accuracy."""
    ways = by_way(lines)
    found: dict[str, dict[float, float]] = {name: {} for name in LOOKS}
    for (way, share), each in ways.items():
        if way in found:
            found[way][share] = average(x["accuracy"] for x in each)
    for share in {share for _, share in ways}:
        rivals = [ways[way, share] for way in CRITERIA if (way, share) in ways]
        for name, key in (("best criterion", "accuracy"), ("best criterion, norms measured anew", "recalibrated")):
            if len(rivals) > 1:
                found[name][share] = max(average(x[key] for x in each) for each in rivals)
    return found


def draw(files: list[Line], path: Path) -> None:
    """Draw to a PNG file.

    Raises:
        MissingDependency: matplotlib is not installed.
    """
    matplotlib = require("matplotlib")
    figure_module, canvas = require("matplotlib.figure"), require("matplotlib.backends.backend_agg")
    lines = [line for found in files for line in found["lines"] if "error" not in line]
    names = list(dict.fromkeys(line["network"] for line in lines))
    with matplotlib.rc_context(STYLE):
        figure = figure_module.Figure(figsize=(6.5 * len(names), 4.6), layout="constrained")
        canvas.FigureCanvasAgg(figure)
        for axis, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
            own = [line for line in lines if line["network"] == name]
            whole = average(line["accuracy"] for line in own if line["way"] == "unpruned")
            axis.axhline(100 * whole, color=GREY, linewidth=1.2, zorder=0, label="unpruned")
            for way, points in curves(own).items():
                colour, marker = LOOKS[way]
                shares = sorted(points)
                look = {"color": colour, "marker": marker, "linewidth": 1.6, "label": way}
                if shares:
                    axis.plot([100 * x for x in shares], [100 * points[x] for x in shares], **look)
            axis.set(title=name, xlabel="MACs left (%)", ylabel="test accuracy (%), mean of the seeds")
        figure.axes[0].legend(loc="lower right", fontsize=8)
        figure.savefig(path, dpi=150)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.prune_fashion_tables", description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    parser.add_argument("--figure", type=Path, help="draw to this PNG file; needs matplotlib")
    options = parser.parse_args(given)
    files = [json.loads(file.read_text()) for file in options.files]
    text = report(files)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.figure:
        draw(files, options.figure)


if __name__ == "__main__":
    main()
