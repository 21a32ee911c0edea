"""`python -m bench.prune.criteria_peer`: our criteria beside torch-pruning's, unit by unit, on a small ResNet.

Where the two differ, what torch-pruning computes is computed again with our parts, which says why they differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

import netsculpt as ns
from bench.prune.criteria_network import made
from netsculpt.graph.axes import Place
from netsculpt.measure import Statistics, measure
from netsculpt.measure.gradients import gradients
from netsculpt.methods.criteria import batch_norm_scale, geometric_median, l1, l2, lamp, obd, taylor_weights
from netsculpt.methods.criteria.slices import over_places, weight_places

ROOT = Path(__file__).parents[2]
CLOSE = 1e-4  # relative to the largest score: torch-pruning's sums are in float32

Score = Callable[[Statistics, str], Tensor]


class Compared(NamedTuple):
    """One criterion.

    Attributes:
        ours: as a user gets it.
        theirs: what torch-pruning computes, by our parts; None where it is the same.
        why: in what they differ.
    """

    ours: Score
    theirs: Score | None = None
    why: str = ""


def _without_norms(stats: Statistics, axis: str) -> list[Place]:
    return [place for place in weight_places(stats.graph, axis) if len(stats.graph.tensors[place.tensor]) > 1]


def _taylor_without_norms(stats: Statistics, axis: str, signed: bool = False) -> Tensor:
    def score(w: Tensor, g: Tensor) -> Tensor:
        return (w * g).sum(1).abs() if signed else (w * g).abs().sum(1)

    return over_places(stats, axis, score, "mean", gradients(stats), places=_without_norms(stats, axis))


def _distances_of_squares(stats: Statistics, axis: str) -> Tensor:
    def score(w: Tensor) -> Tensor:
        return torch.cdist(w.double().square(), w.double().square()).sum(1)

    return over_places(stats, axis, score, "mean", places=_without_norms(stats, axis))


def _last_example_alone(stats: Statistics, axis: str) -> Tensor:
    x, y = (each[-1:] for each in made()[1:])
    return 2 * obd(measure(stats.model, stats.graph, [(x, y)], F.cross_entropy, for_="prune"), axis)


def _their_first(stats: Statistics, axis: str) -> Tensor:
    last = [place for place in weight_places(stats.graph, axis) if place in stats.graph[axis].producers][-1:]
    return over_places(stats, axis, lambda w: w.double().abs().sum(1), "first", places=last)


NORMS = "it looks for batch norms by the wrong name, and leaves their γ out"
COMPARED = {
    "l1": Compared(l1),
    "l2": Compared(lambda stats, axis: l2(stats, axis).square()),
    "l1 first": Compared(
        partial(l1, reduce="first"), _their_first, "of several producers its first is the last in the program"
    ),
    "lamp": Compared(lamp),
    "fpgm": Compared(geometric_median, _distances_of_squares, "it takes distances between squared weights"),
    "batch norm scale": Compared(batch_norm_scale),
    "taylor": Compared(taylor_weights, _taylor_without_norms, NORMS),
    "taylor signed": Compared(
        partial(taylor_weights, form="signed"), partial(_taylor_without_norms, signed=True), NORMS
    ),
    "hessian": Compared(
        lambda stats, axis: 2 * obd(stats, axis),
        _last_example_alone,
        "its sum over examples starts anew with each, so that the last one alone counts",
    ),
}


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.prune.criteria_peer", description=__doc__)
    parser.add_argument("--peer-python", default=sys.executable, help="an interpreter with torch-pruning==1.6.1")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    theirs = peer(options.peer_python)
    model, x, y = made()
    stats = measure(model, ns.trace(model, x), [(x, y)], F.cross_entropy, for_="prune")
    axis_of = {place.tensor: axis.name for axis in stats.graph for place in axis.producers}
    print("| criterion | axes | same scores | same order | rank correlation, least | explained | why |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for name, compared in COMPARED.items():
        pairs = {axis_of[f"{layer}.weight"]: torch.tensor(each).double() for layer, each in theirs[name].items()}
        print(row(name, compared, stats, pairs))


def peer(python: str) -> dict[str, dict[str, list[float]]]:
    """Criterion -> layer -> scores."""
    command = [python, "-W", "ignore", "-m", "bench.prune.criteria_torch_pruning"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"torch-pruning does not run there: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str, compared: Compared, stats: Statistics, theirs: dict[str, Tensor]) -> str:
    ours = {axis: compared.ours(stats, axis) for axis in theirs}
    same = sum(close(ours[axis], each) for axis, each in theirs.items())
    order = sum(
        torch.equal(ours[axis].argsort(stable=True), each.argsort(stable=True)) for axis, each in theirs.items()
    )
    least = min(correlation(ours[axis], each) for axis, each in theirs.items())
    explained = same
    if compared.theirs is not None:
        explained = sum(close(compared.theirs(stats, axis), each) for axis, each in theirs.items())
    return f"| {name} | {len(theirs)} | {same} | {order} | {least:.2f} | {explained} | {compared.why} |"


def close(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() <= CLOSE * b.abs().max())


def correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's."""
    ranks = torch.stack([each.argsort().argsort().double() for each in (a, b)])
    return float(torch.corrcoef(ranks)[0, 1])


if __name__ == "__main__":
    main()
