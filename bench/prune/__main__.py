"""`python -m bench.prune`: one wide layer, statistics and selection apart, beside other ways to prune it."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench import machine
from bench.graph.__main__ import PEER, peer_versions
from bench.prune.child import measure
from bench.prune.layer import LAYERS
from bench.prune.report import report

OWN = {"rates": "others", "local": "ours", "plain": "others", "published": "others", "global": "ours"}


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.prune", description=__doc__)
    parser.add_argument("--layer", choices=list(LAYERS), default="wide")
    parser.add_argument(
        "--peer-python", default=sys.executable, help=f"an interpreter with {PEER}, by default this one"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--patience", type=float, default=600, help="seconds before the process of one way is ended")
    parser.add_argument("--json", type=Path, help="write all numbers to this file too")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    return parser.parse_args(given)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """One way after the other, and said as it comes."""
    found: dict[str, Any] = {"machine": machine.describe("cpu", threads=1), "layer": options.layer}
    found["repeats"] = options.repeats

    def child(python: str, side: str, task: str) -> dict[str, Any]:
        row = measure(python, side, task, options.layer, options.repeats, options.patience)
        print(f"{task}: {row.get('error', 'done')}", file=sys.stderr, flush=True)
        return row

    for task, side in OWN.items():
        found[task] = child(sys.executable, side, task)
    versions = peer_versions(options.peer_python)
    if versions is None:
        name = Path(options.peer_python).name
        missing = f"Not compared with torch-pruning: {name} does not have it; install {PEER}, or use --peer-python."
        return found | {"peer": {"missing": missing}}
    found["peer"] = versions | {task: child(options.peer_python, "peer", task) for task in ("taylor", "hessian")}
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
