"""Does a network that grows by splitting end better than one that grew otherwise, or had its size from the start?

`python -m bench.experiments.split_fashion`: on Fashion-MNIST, one thread, some twenty minutes.
"""

import argparse
import copy
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from bench import machine
from bench.experiments import growing
from bench.experiments.data import DIRECTORY, Images, load
from bench.experiments.growing import Growth, grow
from bench.experiments.networks import SEED_WIDTHS, build, uniform, widths_of
from bench.experiments.split_fashion_figure import draw
from bench.experiments.split_fashion_tables import report
from bench.experiments.training import evaluate, optimizer_of, train
from netsculpt import trace

GROWTHS = 3


@dataclass
class Stage:
    """A network after some training. `seconds`: process time up to here, of which `growing` without training."""

    widths: list[int]
    params: int
    macs: int
    epochs: int
    train_loss: float
    test_loss: float
    test_accuracy: float
    seconds: float
    growing: float


@dataclass
class Run:
    """One arm with one seed."""

    arm: str
    seed: int
    stages: list[Stage] = field(default_factory=list)
    growths: list[Growth] = field(default_factory=list)


class Experiment:
    """All arms; those that grow start from the same trained network."""

    def __init__(self, train_set: Images, test_set: Images, epochs: int) -> None:
        self.train, self.test, self.epochs = train_set, test_set, epochs

    def trial(self, seed: int) -> list[Run]:
        model = build(SEED_WIDTHS, seed)
        optimizer = optimizer_of(model)
        seconds = train(model, optimizer, self.train, self.epochs, seed)
        first = self.stage(model, self.epochs, seconds, 0.0)
        start = model, optimizer, first
        steepest = self.grown("S2D", seed, start, lambda _: growing.s2d)
        params = steepest.stages[-1].params

        def blind(number: int) -> Callable[..., Any]:
            return growing.at_random(steepest.growths[number], seed * GROWTHS + number)

        steps = [each.step for each in steepest.growths]
        return [
            steepest,
            self.grown("signed", seed, start, lambda _: growing.signed, signs=True),
            self.grown("energy-aware", seed, start, lambda _: growing.energy),
            self.grown("random splits", seed, start, blind, steps=steps),
            self.fixed("S2D widths from scratch", seed, steepest.stages[-1].widths),
            self.fixed("the same, restarted cosines", seed, steepest.stages[-1].widths, restarts=True),
            self.fixed("uniform from scratch", seed, uniform(params)),
            self.fixed("seed widths, never grown", seed, list(SEED_WIDTHS)),
        ]

    def grown(
        self,
        arm: str,
        seed: int,
        start: tuple[nn.Module, torch.optim.Optimizer, Stage],
        plan_of: Callable[[int], Callable[..., Any]],
        *,
        signs: bool = False,
        steps: list[float] | None = None,
    ) -> Run:
        model, optimizer = copy.deepcopy(start[:2])
        run = Run(arm, seed, [start[2]])
        for number in range(GROWTHS):
            step = None if steps is None else steps[number]
            run.growths.append(grow(model, optimizer, self.train, plan_of(number), signs=signs, step=step))
            last = run.stages[-1]
            growing_so_far = last.growing + run.growths[-1].seconds
            trained = train(model, optimizer, self.train, self.epochs, seed + 100 * (number + 1))
            seconds = last.seconds + run.growths[-1].seconds + trained
            run.stages.append(self.stage(model, last.epochs + self.epochs, seconds, growing_so_far))
        return run

    def fixed(self, arm: str, seed: int, widths: list[int], *, restarts: bool = False) -> Run:
        """As many epochs in all, along one cosine, or along one for each stage as the networks that grow have."""
        model = build(widths, seed)
        optimizer, stages = optimizer_of(model), 1 + GROWTHS
        rounds = [self.epochs] * stages if restarts else [self.epochs * stages]
        seconds = sum(train(model, optimizer, self.train, epochs, seed + 100 * n) for n, epochs in enumerate(rounds))
        return Run(arm, seed, [self.stage(model, self.epochs * stages, seconds, 0.0)])

    def stage(self, model: nn.Module, epochs: int, seconds: float, growing_seconds: float) -> Stage:
        model.eval()
        cost = trace(model, self.test.pictures[:2]).cost()
        train_loss, _ = evaluate(model, self.train)
        loss, accuracy = evaluate(model, self.test)
        return Stage(widths_of(model), *cost, epochs, train_loss, loss, accuracy, seconds, growing_seconds)


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.split_fashion", description=__doc__)
    parser.add_argument("--data", type=Path, default=DIRECTORY, help="directory of the four files of Fashion-MNIST")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4, help="of each of the four stages")
    parser.add_argument("--examples", type=int, default=24_000, help="training pictures, always the same ones")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    parser.add_argument("--figure", type=Path, help="draw to this PNG file; needs matplotlib")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    options = arguments(given)
    torch.set_num_threads(1)
    experiment = Experiment(*load(options.data, options.examples), options.epochs)
    runs: list[Run] = []
    for seed in range(options.seeds):
        runs += experiment.trial(seed)
        print(f"seed {seed} done", flush=True)
    found = {
        "machine": machine.describe("cpu", threads=1),
        "seeds": options.seeds,
        "epochs": options.epochs,
        "examples": options.examples,
        "runs": [asdict(run) for run in runs],
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    text = report(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.figure:
        draw(found, options.figure)


if __name__ == "__main__":
    main()
