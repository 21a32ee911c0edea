"""One way of the bench in a process of its own, as JSON. `python -m bench.firefly.child WAY WIDTH NEW EXAMPLES`."""

import argparse
import json
from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

import netsculpt as ns
from bench.firefly.network import data, network
from bench.firefly.published import Published
from bench.graph.clock import timed
from bench.prune.child import peak
from netsculpt.methods.growing.overlay import Overlay
from netsculpt.methods.growing.scores import integrated
from netsculpt.methods.growing.tuning import draw, tune

REPEATS = 3


def _best(run: Callable[[], Any]) -> float:
    run()  # what torch sets up once is no part of what is measured
    return min(timed(run) for _ in range(REPEATS))


def training(width: int, new: int, examples: int) -> dict[str, Any]:
    """A training step of the network as it is."""
    model, (batch,) = network(width).train(), data(examples, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = peak()

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(batch[0]), batch[1]).backward()
        optimizer.step()

    return {"step": _best(step), "memory": peak() - before}


def ours(width: int, new: int, examples: int) -> dict[str, Any]:
    """Attached, a batch that tunes, a batch at one node, and the choice made into edits."""
    model, batches = network(width), data(examples, 1)
    sculptor = ns.Sculptor(model, batches[0][0][:2])
    stats = sculptor.measure(batches, F.cross_entropy, for_="grow")
    before = peak()
    counts = {axis.name: new for axis in sculptor.axes}
    overlays: list[Overlay] = []
    attach = timed(lambda: overlays.append(Overlay(model, sculptor.graph, new_units=counts)))
    (overlay,) = overlays
    draw(overlay, ns.Tuning(), 0)
    found = {
        "tune": _best(lambda: tune(overlay, stats.data, F.cross_entropy, ns.Tuning(batches=1))),
        "node": _best(lambda: integrated(overlay, stats.data, F.cross_entropy, nodes=1)),
        "candidates": sum(group.size for group in overlay.groups.values()),
    }
    return found | {"attach": attach, "memory": peak() - before}


def growth(width: int, new: int, examples: int) -> dict[str, Any]:
    """A whole step: 100 batches to tune, 3 nodes on one batch to score, the choice, and the edits."""
    model, batches = network(width), data(examples, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sculptor = ns.Sculptor(model, batches[0][0][:2], optimizer)
    stats = sculptor.measure(batches, F.cross_entropy, for_="grow")
    counts = {axis.name: new for axis in sculptor.axes}
    limits, none = ns.Limits(units=int(0.35 * sum(axis.size for axis in sculptor.axes))), ns.Tuning(batches=0)
    plans: list[ns.Plan] = []

    def grow() -> None:
        plans.append(ns.grow(stats, limits, new_units=counts, tuning=ns.Tuning(batches=100), retuning=none))

    return {"grow": timed(grow), "apply": timed(lambda: sculptor.apply(plans[0], check=False)), "units": limits.units}


def published(width: int, new: int, examples: int) -> dict[str, Any]:
    """A batch that tunes, and one that scores."""
    (batch,) = data(examples, 1)
    model = network(width)
    before = peak()
    route = Published(model, new)
    found = {"tune": _best(lambda: route.tune(*batch)), "node": _best(lambda: route.score(*batch))}
    return found | {"candidates": sum(map(len, route.score(*batch))), "memory": peak() - before}


WAYS = {"training": training, "ours": ours, "growth": growth, "published": published}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.firefly.child", description=__doc__)
    parser.add_argument("way", choices=list(WAYS))
    parser.add_argument("sizes", type=int, nargs=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(WAYS[options.way](*options.sizes)), flush=True)


if __name__ == "__main__":
    main()
