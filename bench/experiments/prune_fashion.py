"""Two networks trained on Fashion-MNIST, pruned in every way that the library knows, and by torch-pruning.

`python -m bench.experiments.prune_fashion --data DIR --cache DIR [--peer-python PYTHON]`, one thread. The networks are
trained once and kept in the cache; what is pruned sees 512 training pictures, and all test pictures judge it.
"""

import argparse
import copy
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import netsculpt as ns
from bench import machine
from bench.experiments.data import DIRECTORY, Images, load
from bench.experiments.trained import CACHE, EPOCHS, trained, weights_file
from bench.experiments.training import evaluate, optimizer_of, train
from netsculpt.measure import Statistics
from netsculpt.methods.criteria import CRITERIA
from netsculpt.methods.pruning.curves import Choice
from netsculpt.methods.pruning.plan import planned
from netsculpt.methods.pruning.refits import fit

EXAMPLES, CALIBRATION, BATCH = 60_000, 512, 128
SHARES = (0.7, 0.5, 0.3)  # of the MACs that stay
TRAINED_ON = 0.5  # the share at which networks are also trained for one epoch
REFITTED = ("l2", "taylor", "random")  # criteria that are also tried with our refit
Way = Callable[[Statistics, ns.Budget], ns.Plan]


def ways() -> dict[str, Way]:
    """Every way to prune, by name."""
    found: dict[str, Way] = {
        "local, refit": lambda stats, budget: ns.prune(stats, budget),
        "local, scales": lambda stats, budget: ns.prune(stats, budget, refit="scale"),
        "local, as they are": lambda stats, budget: ns.prune(stats, budget, refit="none"),
        "line search, refit": lambda stats, budget: ns.prune(stats, budget, select="line_search"),
        "global, refit": lambda stats, budget: ns.prune(stats, budget, objective="global"),
        "both, refit": lambda stats, budget: ns.prune(stats, budget, objective="both"),
    }
    for name in CRITERIA:
        found[name] = lambda stats, budget, name=name: ns.prune_by(stats, budget, name)
    for name in REFITTED:
        found[f"{name} + our refit"] = lambda stats, budget, name=name: refitted(stats, budget, name)
    return found


def refitted(stats: Statistics, budget: ns.Budget, criterion: str) -> ns.Plan:
    """A criterion's units, with the consumers fitted as ``ns.prune`` fits them."""
    choices = {}
    for edit in ns.prune_by(stats, budget, criterion, axes=stats.consumed()).edits:
        assert isinstance(edit, ns.Prune) and isinstance(edit.keep, torch.Tensor)
        units = edit.keep.sort().values
        choices[edit.axis] = Choice(units, torch.ones(len(units), dtype=torch.float64), 0.0, len(units))
    return planned(stats, choices, fit(stats, choices), "least_squares")


def pruned(
    model: nn.Module, data: Images, test: Images, shares: list[float], names: list[str]
) -> Iterator[dict[str, Any]]:
    """Each way at each share: sizes, accuracy as it is and with its batch norms measured anew."""
    batches = data.batches(BATCH)
    graph = ns.trace(model, data.pictures[:2])
    for way in names:
        make = ways()[way]
        stats = ns.Sculptor(model, data.pictures[:2]).measure(batches, F.cross_entropy, for_="prune")
        for share in shares:
            start = time.process_time()
            try:
                plan = make(stats, ns.Budget(macs=f"{100 * share}%"))
            except ns.errors.NetsculptError as error:  # a criterion that does not apply says so
                yield {"way": way, "share": share, "error": str(error)}
                continue
            seconds = time.process_time() - start
            own = copy.deepcopy(model)
            ns.apply(plan, own, graph=ns.trace(own, data.pictures[:2]), check=False)
            assert plan.after is not None
            line = {
                "way": way,
                "share": share,
                "seconds": seconds,
                "params": plan.after.params,
                "macs": plan.after.macs,
            }
            line |= {"accuracy": evaluate(own, test)[1], "of": graph.cost().macs}
            ns.recalibrate(own, [pictures for pictures, _ in batches])
            yield line | {"recalibrated": evaluate(own, test)[1], "model": own}


def peer(python: str, name: str, seed: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """torch-pruning's lines for one network, from its own environment."""
    found = []
    for share in options.shares:
        command = [python, "-m", "bench.experiments.peer_prune", name, str(weights_file(options.cache, name, seed))]
        command += ["--data", str(options.data), "--share", str(share), "--calibration", str(CALIBRATION)]
        if options.finetune and share == TRAINED_ON:
            command += ["--finetune", "1"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found += [{"share": share} | json.loads(line) for line in done.stdout.splitlines()]
    return found


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.prune_fashion", description=__doc__)
    parser.add_argument("--data", type=Path, default=DIRECTORY, help="directory of the four files of Fashion-MNIST")
    parser.add_argument("--cache", type=Path, default=CACHE, help="directory of the trained weights")
    parser.add_argument("--networks", nargs="+", choices=list(EPOCHS), default=list(EPOCHS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    parser.add_argument("--ways", nargs="+", choices=list(ways()), default=list(ways()))
    parser.add_argument("--finetune", nargs="*", default=[], help="ways also trained an epoch, at half the MACs")
    parser.add_argument("--peer-python", help="an interpreter with torch-pruning")
    parser.add_argument("--out", type=Path, help="file of the numbers, as JSON")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    train_set, test_set = load(options.data, EXAMPLES)
    calibration = train_set.take(torch.arange(CALIBRATION))
    lines = []
    for seed in options.seeds:
        for name in options.networks:
            model = trained(name, seed, train_set, options.cache)
            whole = {"network": name, "seed": seed}
            lines.append(whole | {"way": "unpruned", "share": 1.0, "accuracy": evaluate(model, test_set)[1]})
            for line in pruned(model, calibration, test_set, options.shares, options.ways):
                own = line.pop("model", None)
                if own is not None and line["way"] in options.finetune and line["share"] == TRAINED_ON:
                    train(own, optimizer_of(own), train_set, 1, seed)
                    line["finetuned"] = evaluate(own, test_set)[1]
                lines.append(whole | line)
                print(json.dumps(lines[-1]), file=sys.stderr, flush=True)
            if options.peer_python:
                lines += [whole | line | {"peer": True} for line in peer(options.peer_python, name, seed, options)]
    found = {"machine": machine.describe("cpu", threads=1), "calibration": CALIBRATION, "lines": lines}
    text = json.dumps(found, indent=1)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
