"""Does a network that grows by firefly descent end better than one that grew otherwise, or had its size from the start?

`python -m bench.experiments.grow_fashion --data DIR --json FILE`: Fashion-MNIST, one thread. A narrow VGG-like network
and one of two residual blocks are trained, grown to `--budget` of their parameters, and trained on; every arm sees as
many pictures.
"""

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import netsculpt as ns
from bench import machine
from bench.experiments.convnets import Block
from bench.experiments.data import DIRECTORY, Images, load
from bench.experiments.training import BATCH, evaluate, optimizer_of, train
from netsculpt.measure import Statistics

CALIBRATION = 60  # batches
TUNING = ns.Tuning(batches=200)
Grow = Callable[[Statistics, ns.Budget], ns.Plan]
ARMS: dict[str, tuple[str, Grow]] = {
    "firefly, wider": ("grow", lambda stats, budget: ns.grow(stats, budget, tuning=TUNING)),
    "firefly, wider and deeper": (
        "grow",
        lambda stats, budget: ns.grow(stats, budget, kinds=("split", "new", "layer"), tuning=TUNING),
    ),
    "S2D": ("split", lambda stats, budget: ns.split(stats, budget, step="search")),
    "GradMax": ("grow", lambda stats, budget: ns.grow(stats, budget, init="gradmax", new_units=4.0)),
    "TINY": ("grow", lambda stats, budget: ns.grow(stats, budget, init="tiny", new_units=4.0)),
    "Net2Net": ("grow", lambda stats, budget: ns.grow(stats, budget, init="net2net", new_units=4.0)),
    "random units": ("grow", lambda stats, budget: ns.grow(stats, budget, init="random", new_units=4.0)),
}
WIDTHS = {"vgg": (4, 4, 6, 6), "residual": (5, 5)}


def build(name: str, seed: int, factor: float = 1.0) -> nn.Sequential:
    """A seed network; `factor`: of its widths."""
    torch.manual_seed(seed)
    widths = [max(1, round(factor * width)) for width in WIDTHS[name]]
    layers: list[nn.Module] = []
    if name == "vgg":
        for number, (before, after) in enumerate(zip((1, *widths), widths, strict=False)):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if number != 1 else []
    else:
        layers += [nn.Conv2d(1, widths[0], 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
        layers += [Block(widths[0], widths[0], 1), Block(widths[0], widths[1], 2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], 10))


def fresh(model: nn.Module, seed: int) -> nn.Module:
    """A network of the same shape with new weights."""
    torch.manual_seed(seed)
    own = copy.deepcopy(model)
    for module in own.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    return own


def uniform(name: str, params: int, seed: int) -> nn.Module:
    """The seed's network with all widths times the factor that comes closest to so many parameters."""
    factors = [1 + step / 20 for step in range(100)]
    sizes = {f: sum(p.numel() for p in build(name, 0, f).parameters()) for f in factors}
    return build(name, seed, min(factors, key=lambda factor: abs(sizes[factor] - params)))


class Trial:
    """All arms with one seed; those that grow start from the same trained network."""

    def __init__(self, name: str, seed: int, sets: tuple[Images, Images], options: argparse.Namespace) -> None:
        self.name, self.seed, (self.train_set, self.test_set) = name, seed, sets
        self.options = options
        self.model = build(name, seed)
        self.optimizer = optimizer_of(self.model)
        self.seconds = train(self.model, self.optimizer, self.train_set, options.epochs, seed)
        data = self.train_set.take(torch.arange(CALIBRATION * BATCH))
        self.batches = data.batches(BATCH)

    def grown(self, arm: str, steps: int) -> tuple[dict[str, Any], nn.Module]:
        """Grown in so many steps, with the remaining epochs divided among them."""
        purpose, make = ARMS[arm]
        model, optimizer = copy.deepcopy((self.model, self.optimizer))
        first = sum(p.numel() for p in model.parameters())
        line: dict[str, Any] = {"predicted": [], "measured": [], "growing": 0.0}
        seconds = self.seconds
        for step in range(1, steps + 1):
            start = time.process_time()
            sculptor = ns.Sculptor(model.eval(), self.test_set.pictures[:2], optimizer)
            stats = sculptor.measure(self.batches, F.cross_entropy, for_=purpose)  # type: ignore[arg-type]
            target = first * (1 + (self.options.budget - 1) * step / steps)
            done = sculptor.apply(make(stats, ns.Budget(params=int(target))))
            line["predicted"].append(done.predicted)
            line["measured"].append(done.measured)
            line["growing"] += time.process_time() - start
            epochs = self.options.epochs * step // steps - self.options.epochs * (step - 1) // steps
            seconds += train(model, optimizer, self.train_set, epochs, self.seed + 100 * step) if epochs else 0.0
        return self.line(f"{arm}, {steps} steps" if steps > 1 else arm, model, seconds + line["growing"], line), model

    def fixed(self, arm: str, model: nn.Module) -> dict[str, Any]:
        """As many epochs in all, along one cosine."""
        seconds = train(model, optimizer_of(model), self.train_set, 2 * self.options.epochs, self.seed)
        return self.line(arm, model, seconds, {})

    def line(self, arm: str, model: nn.Module, seconds: float, more: dict[str, Any]) -> dict[str, Any]:
        model.eval()
        cost = ns.trace(model, self.test_set.pictures[:2]).cost()
        found = {"network": self.name, "seed": self.seed, "arm": arm, "params": cost.params, "macs": cost.macs}
        return found | {"accuracy": evaluate(model, self.test_set)[1], "seconds": seconds} | more

    def run(self) -> list[dict[str, Any]]:
        lines, shapes = [], {}
        for arm in ARMS:
            for steps in (1, 4) if arm == "firefly, wider" else (1,):
                line, model = self.grown(arm, steps)
                shapes[line["arm"]] = model
                lines.append(line)
        for arm in ("firefly, wider", "firefly, wider and deeper"):
            lines.append(self.fixed(f"shape of {arm}, from scratch", fresh(shapes[arm], self.seed)))
        params = lines[0]["params"]
        lines.append(self.fixed("uniform widths, from scratch", uniform(self.name, params, self.seed)))
        lines.append(self.fixed("never grown", build(self.name, self.seed)))
        return lines


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.grow_fashion", description=__doc__)
    parser.add_argument("--data", type=Path, default=DIRECTORY, help="directory of the four files of Fashion-MNIST")
    parser.add_argument("--networks", nargs="+", choices=list(WIDTHS), default=list(WIDTHS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=4, help="before growing, and as many after it")
    parser.add_argument("--examples", type=int, default=10_000, help="training pictures, always the same ones")
    parser.add_argument("--budget", type=float, default=4.0, help="parameters afterwards, as a multiple")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    sets = load(options.data, options.examples)
    lines = []
    for name in options.networks:
        for seed in range(options.seeds):
            for line in Trial(name, seed, sets, options).run():
                lines.append(line)
                print(json.dumps(line), file=sys.stderr, flush=True)
    settings = {name: getattr(options, name) for name in ("seeds", "epochs", "examples", "budget")}
    text = json.dumps({"machine": machine.describe("cpu", threads=1), **settings, "lines": lines}, indent=1)
    if options.json:
        options.json.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
