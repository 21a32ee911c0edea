"""`python -m bench.graph`: tracing, time against depth, applying a plan, and all that beside torch-pruning."""

import argparse
import json
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bench import machine
from bench.graph.child import measure
from bench.graph.models import COMPARED, DEPTHS, FAMILIES, MODELS, TRACED, find
from bench.graph.report import report

PEER = "torch-pruning==1.6.1"
SECTIONS = ("tracing", "depth", "step", "peer")


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.graph", description=__doc__)
    parser.add_argument("--only", action="append", choices=SECTIONS, help="only this part; may be given again")
    parser.add_argument("--model", action="append", choices=list(MODELS), help="only this model; may be given again")
    parser.add_argument(
        "--peer-python", default=sys.executable, help=f"an interpreter with {PEER}, by default this one"
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--limit", type=float, default=60, help="seconds of process time for one run of one case")
    parser.add_argument("--json", type=Path, help="write all numbers to this file too")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    return parser.parse_args(given)


class Bench:
    """Runs the children one after the other and says what each found as it comes."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.sections = options.only or SECTIONS
        self.peer = peer_versions(options.peer_python) if "peer" in self.sections else None

    def run(self) -> dict[str, Any]:
        """One model after the other, so that what else the machine does falls on both sides alike."""
        found: dict[str, Any] = {"machine": described(), "repeats": self.options.repeats, "limit": self.options.limit}
        found |= {"tracing": {}, "depth": {}, "step": {}}
        if "peer" in self.sections:
            found["peer"] = {**self.peer, "groups": {}, "step": {}} if self.peer else self._no_peer()
        for name in self._models():
            compared = self.peer is not None and name in (self.options.model or COMPARED)
            if compared or ("tracing" in self.sections and name in (self.options.model or TRACED)):
                found["tracing"][name] = self._ours("trace", name)
            if compared or ("step" in self.sections and name in (self.options.model or COMPARED)):
                found["step"][name] = self._ours("step", name)
            for task in ("groups", "step") if compared else ():
                found["peer"][task][name] = self._child(self.options.peer_python, "peer", task, name)
        if "depth" in self.sections:
            names = [f"{family}@{layers}" for family in FAMILIES for layers in DEPTHS]
            found["depth"] = {name: self._ours("trace", name) for name in names if not find(name).missing()}
        return found

    def _models(self) -> list[str]:
        """Those asked for, or all in full size, without those whose package is not there, which is said."""
        wanted = self.options.model or TRACED
        for name in wanted:
            if (why := MODELS[name].missing()) is not None:
                print(f"no {MODELS[name].title}: {why}", file=sys.stderr)
        return [name for name in wanted if MODELS[name].missing() is None]

    def _no_peer(self) -> str:
        return (
            f"Not compared with torch-pruning: {Path(self.options.peer_python).name} does not have it; install {PEER}, "
            "which the extra `bench` asks for, or name an interpreter that has it with --peer-python."
        )

    def _ours(self, task: str, name: str) -> dict[str, Any]:
        return self._child(sys.executable, "ours", task, name)

    def _child(self, python: str, side: str, task: str, name: str) -> dict[str, Any]:
        print(f"{side}, {task}, {name}: ", end="", file=sys.stderr, flush=True)
        row = measure(python, side, task, name, self.options.repeats, self.options.limit)
        print(row.get("error") or f"{row['total']:.3g} s", file=sys.stderr)
        return row


def described() -> dict[str, str]:
    found = machine.describe("cpu", threads=1) | {"Python": ".".join(map(str, sys.version_info[:3]))}
    for package in ("torchvision", "transformers"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"
    return found


def peer_versions(python: str) -> dict[str, str] | None:
    """Versions of torch-pruning and torch there; None where it cannot be imported."""
    # Not its __version__, which lags behind the release.
    ask = "import importlib.metadata as m, torch, torch_pruning; print(m.version('torch-pruning'), torch.__version__)"
    try:
        done = subprocess.run([python, "-W", "ignore", "-c", ask], capture_output=True, text=True)
    except OSError:
        return None
    words = done.stdout.split()
    return {"version": words[-2], "torch": words[-1]} if done.returncode == 0 and len(words) >= 2 else None


def main(given: list[str] | None = None) -> None:
    options = arguments(given)
    found = Bench(options).run()
    text = report(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
