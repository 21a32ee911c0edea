"""`python -m bench.grow`: GradMax and TINY beside gromo's, the subspaces and the time they take."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench import machine
from bench.grow.child import measure
from bench.grow.compare import compared
from bench.grow.layer import LAYERS
from bench.grow.report import report

PEER = "gromo==0.1.0"
OURS, THEIRS = "bench.grow.ours", "bench.experiments.peer_growing"


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.grow", description=__doc__)
    parser.add_argument("--layers", nargs="+", choices=list(LAYERS), default=["convolutions", "linear"])
    parser.add_argument(
        "--peer-python", default=sys.executable, help=f"an interpreter with {PEER}, by default this one"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--patience", type=float, default=600, help="seconds before the process of one way is ended")
    parser.add_argument("--json", type=Path, help="write all numbers to this file too")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    return parser.parse_args(given)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Both sides one after the other, in single precision for the time, in double too for the subspaces."""
    found: dict[str, Any] = {"machine": machine.describe("cpu", threads=1), "repeats": options.repeats, "layers": {}}
    for layer in options.layers:
        found["layers"][layer] = {}
        for dtype, repeats in (("float32", options.repeats), ("float64", 1)):
            sides = [
                measure(python, module, layer, dtype, repeats, options.patience)
                for python, module in ((sys.executable, OURS), (options.peer_python, THEIRS))
            ]
            found["layers"][layer][dtype] = compared(*sides)
            print(f"{layer}, {dtype}: {[side.get('error', 'done') for side in sides]}", file=sys.stderr, flush=True)
    return found


def main(given: list[str] | None = None) -> None:
    options = arguments(given)
    found = run(options)
    text = report(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        options.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
