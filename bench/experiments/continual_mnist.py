"""Three sequences of tasks learnt without forgetting, beside a network for each, tuning on and on, and EWC.

`python -m bench.experiments.continual_mnist --files DIR --data DIR --lines FILE --table FILE`, one thread. A task has
6,000 training pictures at most and all of its test pictures; 2,000 others tell when its goal is reached, and choose
EWC's strength on the first tasks. The pool grows for a task until it is within 0.3 points of what a network of the
task's own has on these, or has grown by 60 % of the first network. Networks for every task are as large as the first
one, or as narrow as all of them must be to have no more numbers than the pool with everything private. Prints one JSON
line for every sequence, seed and way.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import netsculpt as ns
from bench import machine
from bench.experiments.continual_data import Sequence, Shuffled, sequences
from bench.experiments.continual_others import RATE, Outcome, apart, right, scale_within, tuned, without
from bench.experiments.continual_tables import report
from bench.experiments.data import DIRECTORY

EPOCHS, SEEDS = 4, 3
STRENGTHS = (1e1, 1e2, 1e3, 1e4)
GROWTH = ns.continual.Growth(rounds=4, new=1.0, batches=300)
LONG = 1 + GROWTH.rounds  # times EPOCHS, the longest that a task can take; the first one and networks apart take it
ROOM, LESS = 0.6, 0.003  # of the first network, by which a task may let the pool grow; what its goal is less than


def pool(
    sequence: Sequence, goals: list[float], epochs: int, seed: int
) -> tuple[Outcome, list[dict[str, Any]], ns.continual.Sizes]:
    """One pool for all tasks."""
    learner = ns.continual.Learner(sequence.build(1.0), sequence.tasks[0].train.pictures[:2])
    room = int(ROOM * learner.pool.graph.cost().params)
    accuracy, told = [], []
    for number, (task, goal) in enumerate(zip(sequence.tasks, goals, strict=True)):
        budget = ns.Budget(params=learner.pool.graph.cost().params + room)
        done = learner.learn(
            task.name,
            Shuffled(task.train, seed),
            F.cross_entropy,
            classes=task.classes,
            goal=goal - LESS if number else None,
            validation=task.held.batches(1000),
            budget=budget if number else None,
            epochs=epochs if number else LONG * epochs,
            optimizer=partial(torch.optim.Adam, lr=RATE),
            growth=GROWTH,
            seed=seed,
        )
        told.append({**done._asdict(), "rounds": [each._asdict() for each in done.rounds]})
        accuracy.append([right(learner.task(each.name), each) for each in sequence.tasks[: number + 1]])
    sizes = learner.sizes()
    return Outcome(accuracy, sizes.total), told, sizes


def strongest(sequence: Sequence, epochs: int, seed: int) -> float:
    """The strength with the best mean accuracy on the held-out pictures of the first three tasks."""
    few = without(sequence, 3)
    return max(STRENGTHS, key=lambda each: mean(tuned(few, epochs, seed, each).accuracy[-1]))


def lines_of(sequence: Sequence, epochs: int, seed: int, strength: float) -> list[dict[str, Any]]:
    """All ways, one line each."""
    clock = time.process_time
    start = clock()
    alone, goals = apart(sequence, LONG * epochs, seed)
    found = [line(sequence, "network per task", seed, alone, clock() - start)]
    start = clock()
    outcome, told, sizes = pool(sequence, goals, epochs, seed)
    own = {"pool": sizes.pool, "private": sizes.total - sizes.pool, "masks": sum(t.mask for t in sizes.tasks)}
    found.append(line(sequence, "pool", seed, outcome, clock() - start) | {"tasks": told, **own})
    start, scale = clock(), scale_within(sequence, outcome.size)
    narrow, _ = apart(sequence, LONG * epochs, seed, scale)
    found.append(line(sequence, "narrow network per task", seed, narrow, clock() - start) | {"scale": scale})
    for name, each in (("fine-tuning", 0.0), ("EWC", strength)):
        start = clock()
        outcome = tuned(sequence, epochs, seed, each)
        found.append(line(sequence, name, seed, outcome, clock() - start) | ({"strength": each} if each else {}))
    return found


def line(sequence: Sequence, way: str, seed: int, outcome: Outcome, seconds: float) -> dict[str, Any]:
    """Mean accuracy at the end, and how much of what each task reached when it was learnt is lost by then."""
    last = outcome.accuracy[-1]
    lost = [after[number] - last[number] for number, after in enumerate(outcome.accuracy)]
    return {
        "sequence": sequence.name,
        "way": way,
        "seed": seed,
        "accuracy": mean(last),
        "forgetting": mean(lost),
        "most forgotten": max(lost, key=abs),
        "size": outcome.size,
        "seconds": seconds,
        "by task": last,
    }


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.continual_mnist", description=__doc__)
    parser.add_argument("--files", type=Path, help="directory of unpacked packages with MNIST")
    parser.add_argument("--data", type=Path, default=DIRECTORY, help="directory of Fashion-MNIST")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--only", help="sequences whose names hold this")
    parser.add_argument("--lines", type=Path, help="file of the JSON lines")
    parser.add_argument("--table", type=Path, help="file of the tables, as Markdown")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    found: list[dict[str, Any]] = []
    strengths: dict[str, float] = {}
    for seed in range(options.seeds):
        for sequence in sequences(options.files, options.data, seed):
            if options.only and options.only not in sequence.name:
                continue
            if sequence.name not in strengths:
                strengths[sequence.name] = strongest(sequence, options.epochs, seed)
            for each in lines_of(sequence, options.epochs, seed, strengths[sequence.name]):
                print(json.dumps(each), flush=True)
                found.append(each)
            if options.lines:
                options.lines.write_text("".join(json.dumps(each) + "\n" for each in found), encoding="utf-8")
    if options.table:
        options.table.write_text(report(found, machine.describe("cpu", threads=1)), encoding="utf-8")


if __name__ == "__main__":
    main()
