"""Does a character GPT that grows in hidden units, heads and depth learn more from the same compute?

`python -m bench.experiments.grow_gpt --text DIR_OR_FILES --json FILE`: Shakespeare's works, one thread. A narrow GPT is
trained, grown three times up to `--budget` of its parameters, and trained on after each; beside it GPTs that have the
size that it ends with from the start. All see the same batches in the same order.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

import netsculpt as ns
from bench import machine
from bench.experiments.characters import Text, load
from bench.experiments.gpt import Shape, build, conventional, fresh, size
from bench.experiments.gpt_runs import BATCH, Run, loss_of
from netsculpt.measure import Statistics

STAGES = 4  # with a growth between each two
CALIBRATION, MORE = 12, 48  # batches
TUNING, RETUNING = ns.Tuning(batches=30), ns.Tuning(batches=15)
BLOCKS = ("blocks.0", "blocks.1")
SEED = {"width": 48, "head": 8, "heads": (2, 2), "hidden": (32, 32)}
Grow = Callable[[Statistics, ns.Budget], ns.Plan]


def firefly(stats: Statistics, budget: ns.Budget) -> ns.Plan:
    """Hidden units and heads by splits and new ones, and residual layers behind blocks."""
    kinds = ("split", "new", "layer")
    return ns.grow(stats, budget, kinds=kinds, after=BLOCKS, tuning=TUNING, retuning=RETUNING)


ARMS: dict[str, tuple[str, Grow]] = {
    "firefly": ("grow", firefly),
    "firefly, more data": ("grow", firefly),
    "S2D": ("split", lambda stats, budget: ns.split(stats, budget, step="search")),
    "random units": ("grow", lambda stats, budget: ns.grow(stats, budget, init="random", new_units=4.0)),
}


class Trial:
    """All arms with one seed; those that grow start from the same trained network."""

    def __init__(self, text: Text, seed: int, options: argparse.Namespace) -> None:
        self.text, self.seed, self.options = text, seed, options
        self.shape = Shape(len(text.characters), options.context, **SEED)
        generator = torch.Generator().manual_seed(1_000 + seed)
        self.batches = [text.drawn(BATCH, options.context, generator) for _ in range(MORE)]
        self.started = self.begun(build(self.shape, seed))
        self.started.train(options.steps)

    def begun(self, model: nn.Module, steps: int | None = None) -> Run:
        total = STAGES * self.options.steps if steps is None else steps
        return Run(model, self.text, self.options.context, total, self.seed)

    def fixed(self, arm: str, run: Run) -> dict[str, Any]:
        run.train(run.total - run.done)
        return self.line(arm, run, [])

    def grown(self, arm: str) -> tuple[dict[str, Any], Run]:
        purpose, make = ARMS[arm]
        run = self.started.fork()
        first, growths = size(run.model), []
        batches = self.batches[: MORE if "more data" in arm else CALIBRATION]
        for stage in range(1, STAGES):
            budget = int(first * (1 + (self.options.budget - 1) * stage / (STAGES - 1)))
            with run.growing():
                sculptor = ns.Sculptor(run.model.eval(), batches[0][0][:2], run.optimizer)
                stats = sculptor.measure(batches, loss_of, for_=purpose)  # type: ignore[arg-type]
                plan = make(stats, ns.Budget(params=budget))
                done = sculptor.apply(plan)
            growths.append(
                {"step": run.done, "params": done.after.params, "predicted": done.predicted, "measured": done.measured}
                | {"held_before": run.before, "held_after": run.curve[-1]["loss"], "kinds": kinds_of(plan)}
            )
            run.train(self.options.steps)
        return self.line(arm, run, growths), run

    def line(self, arm: str, run: Run, growths: list[dict[str, Any]]) -> dict[str, Any]:
        found = {"seed": self.seed, "arm": arm, "growths": growths, "shape": shape_of(run.model)}
        return found | run.told()

    def run(self) -> list[dict[str, Any]]:
        if self.options.arms:
            return [self.grown(arm)[0] for arm in self.options.arms]
        lines = [self.fixed("never grown", self.started.fork())]
        runs = {}
        for arm in ARMS:
            line, runs[arm] = self.grown(arm)
            lines.append(line)
            print(f"seed {self.seed}, {arm}: {line['loss']:.4f}", file=sys.stderr, flush=True)
        last, spent = runs["firefly"].model, runs["firefly"].compute
        scratch = self.begun(fresh(last, self.seed))
        lines.append(self.fixed("final shape from scratch", scratch))
        steps = round(spent * scratch.done / scratch.compute)
        lines.append(self.fixed("the same, firefly's compute", self.begun(fresh(last, self.seed), steps)))
        usual = build(conventional(self.shape, size(last)), self.seed)
        lines.append(self.fixed("conventional GPT from scratch", self.begun(usual)))
        return lines


def kinds_of(plan: ns.Plan) -> dict[str, int]:
    """How many units of each kind: splits and new ones by what has them, and layers."""
    found: dict[str, int] = {}
    for edit in plan.edits:
        if isinstance(edit, ns.InsertLayer):
            found["layers"] = found.get("layers", 0) + 1
            continue
        where = "heads" if "attention" in edit.axis else "inserted" if "inserted" in edit.axis else "hidden"
        kind, count = ("new", edit.n) if isinstance(edit, ns.Widen) else ("split", len(edit.weights) - 1)
        found[f"{where}, {kind}"] = found.get(f"{where}, {kind}", 0) + count
    return found


def shape_of(model: nn.Module) -> list[str]:
    """Of every block: heads, hidden units, and the hidden units of layers inserted behind it."""
    found = []
    for block in model.blocks:  # type: ignore[union-attr]
        layers = [each[1].out_features for name, each in block.named_children() if name.startswith("inserted")]
        heads = block.attention.query.out_features // block.attention.size
        found.append("+".join(map(str, (f"{heads}h {block.mlp[0].out_features}", *layers))))
    return found


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.grow_gpt", description=__doc__)
    parser.add_argument("--text", type=Path, nargs="+", required=True, help="files of text, or the unpacked package")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=400, help="of each of the four stages")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), help="only these, of those that grow")
    parser.add_argument("--context", type=int, default=64)
    parser.add_argument("--budget", type=float, default=2.0, help="parameters in the end, as a multiple")
    parser.add_argument("--json", type=Path, help="write all numbers to this file, after every seed")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    text = load(options.text)
    about = {"sha256": text.sha256, "train": len(text.train), "held": len(text.held), "of": len(text.characters)}
    settings = {name: getattr(options, name) for name in ("seeds", "steps", "context", "budget")}
    found: dict[str, Any] = {"machine": machine.describe("cpu", threads=1), **settings, "text": about, "lines": []}
    for seed in range(options.seeds):
        found["lines"] += Trial(text, seed, options).run()
        print(f"seed {seed} done", file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if not options.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
