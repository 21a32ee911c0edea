"""`python -m bench.firefly`: a growth step of firefly descent on a narrow VGG-19, beside the published route."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import machine
from bench.experiments.split_fashion_tables import table
from bench.firefly.child import WAYS
from bench.graph.child import ONE_THREAD, ROOT
from bench.table import duration, number


def measure(way: str, sizes: list[int]) -> dict[str, Any]:
    """What a child process finds out."""
    command = [sys.executable, "-W", "ignore", "-m", "bench.firefly.child", way, *map(str, sizes)]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def report(found: dict[str, Any]) -> str:
    base, own, other, whole = (found[name] for name in ("training", "ours", "published", "growth"))
    width, new, examples = found["sizes"]
    head = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    about = (
        f"VGG-19 with {width} units a layer, {new} new candidates a layer, batches of {examples} pictures of 32 × 32, "
        "random. Process time of one thread, each way in a process of its own, the quickest of 3; *memory* is what the "
        f"peak rose by. Candidates: netsculpt {own['candidates']}, published {other['candidates']}. The published "
        "network also joins new units of one layer to those of the next; netsculpt's candidates are worth what they "
        "add alone, so that its overlay has no such weights."
    )
    rows = [["training step", duration(base["step"]), "", "", _mebibytes(base)]]
    for name, each in (("netsculpt", own), ("published route", other)):
        rows.append([name, duration(each["tune"]), duration(each["node"]), _times(each, base), _mebibytes(each)])
    ratios = [other[key] / own[key] for key in ("tune", "node", "memory")]
    steps = (whole["grow"] + whole["apply"]) / base["step"]
    lines = [
        f"Published over netsculpt: {number(ratios[0])}× for a batch that tunes, {number(ratios[1])}× for a batch at "
        f"one node, {number(ratios[2])}× the memory.",
        f"A whole growth step (100 batches tune, 3 nodes on one batch, {whole['units']} of the candidates chosen and "
        f"made): {duration(whole['grow'])}, of which attaching is {duration(own['attach'])}; the edits then take "
        f"{duration(whole['apply'])}. That is {number(steps)} training steps.",
    ]
    head_row = ["way", "tuning batch", "scoring batch, a node", "tuning batch in training steps", "memory"]
    return "\n\n".join([f"{head}.", about, table(head_row, rows), *lines]) + "\n"


def _times(each: dict[str, Any], base: dict[str, Any]) -> str:
    return number(each["tune"] / base["step"])


def _mebibytes(row: dict[str, Any]) -> str:
    return f"{row['memory'] / 2**20:.0f} MiB"


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.firefly", description=__doc__)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--new", type=int, default=70, help="candidates for new units in every layer")
    parser.add_argument("--examples", type=int, default=128, help="in a batch")
    parser.add_argument("--json", type=Path, help="write all numbers to this file too")
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    options = parser.parse_args(given)
    sizes = [options.width, options.new, options.examples]
    found: dict[str, Any] = {"machine": machine.describe("cpu", threads=1), "sizes": sizes}
    for way in WAYS:
        found[way] = measure(way, sizes)
        print(f"{way}: done", file=sys.stderr, flush=True)
    text = report(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        options.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
