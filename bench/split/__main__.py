"""`python -m bench.split`: lowest eigenpairs by five routes, and a whole growth step against a training step."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import machine
from bench.split.layers import LAYERS
from bench.split.report import report
from bench.split.routes import ROUTES

ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def child(module: str, *words: object, patience: float) -> dict[str, Any]:
    """What a process of its own prints as its last line; what went wrong, in one sentence, otherwise."""
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "ignore", "-m", f"bench.split.{module}", *map(str, words)]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        return {"error": f"not one unit in {patience:g} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        return {"error": (done.stderr.strip().splitlines() or ["no answer"])[-1][:160]}
    return json.loads(lines[-1])


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.split", description=__doc__)
    parser.add_argument("--only", action="append", choices=["pairs", "growth"], help="only this part")
    parser.add_argument("--layer", action="append", choices=list(LAYERS), help="only this layer; may be given again")
    parser.add_argument("--limit", type=float, default=4, help="seconds for the units of one route on one layer")
    parser.add_argument("--patience", type=float, default=30, help="seconds before a route's process is ended")
    parser.add_argument("--json", type=Path, help="write all numbers to this file too")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    options = parser.parse_args(given)
    found: dict[str, Any] = {"machine": machine.describe("cpu", threads=1), "limit": options.limit}
    found |= {"patience": options.patience, "pairs": {}}
    if "growth" in (options.only or ["growth"]):
        found["growth"] = child("growth", patience=20 * options.patience)
        print("growth step done", file=sys.stderr, flush=True)
    for name in (options.layer or LAYERS) if "pairs" in (options.only or ["pairs"]) else ():
        rows = {}
        for route in ("exact", *ROUTES):
            patience = 20 * options.patience if route == "exact" else options.patience
            rows[route] = child("child", name, route, options.limit, patience=patience)
        found["pairs"][name] = rows
        print(f"{name} done", file=sys.stderr, flush=True)
    text = report(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        options.json.write_text(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
