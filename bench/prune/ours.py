"""What netsculpt takes for the layer: statistics, selections, the refit, and a step of global imitation."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from bench.graph.clock import timed
from bench.prune.child import peak, serve
from bench.prune.layer import CONSUMER, KERNEL, LAYERS, Layer, network
from netsculpt import Sculptor, ops
from netsculpt.measure import Statistics
from netsculpt.measure.grams import sum_of
from netsculpt.methods.pruning.curves import combined, curve
from netsculpt.methods.pruning.discrepancy import distance_of
from netsculpt.methods.pruning.globally import CANDIDATES, STEPS
from netsculpt.methods.pruning.refits import fit
from netsculpt.methods.pruning.suffixes import Suffix

AXIS = "0"
MODES = ("least_squares", "line_search", "uniform")


def local(name: str, repeats: int) -> dict[str, Any]:
    """A pass of `measure` with its sums and the sums alone, then everything that is made of them."""
    layer = LAYERS[name]
    model, x, y = network(layer)
    sculptor = Sculptor(model, x[:2])
    _warm(model, x)
    before, stats = peak(), []
    measured = min(
        timed(lambda: stats.append(sculptor.measure([(x, y)], F.cross_entropy, for_="prune", axes=[AXIS])))
        for _ in range(repeats)
    )
    memory = peak() - before
    found = stats[-1]
    gram = combined(found.consumers[AXIS], found.grams([AXIS])[AXIS])
    selections = {
        mode: min(timed(lambda mode=mode: ops.greedy_select(gram, layer.keep, mode=mode)) for _ in range(repeats))
        for mode in MODES
    }
    curves = {mode: min(timed(lambda mode=mode: curve(found, AXIS, mode)) for _ in range(repeats)) for mode in MODES}
    return {
        "measure": measured,
        "sums": min(_sums(found, model, x) for _ in range(repeats)),
        "flops": arithmetic(layer),
        "memory": memory,
        "select": selections,
        "curve": curves,
        "order": ops.greedy_select(gram, layer.keep, mode="least_squares").order.tolist(),
        "refit": timed(lambda: fit(found, {AXIS: curve(found, AXIS).choice(layer.keep)})) - curves["least_squares"],
    }


def arithmetic(layer: Layer) -> float:
    """Operations of the sums: pictures by shifted pictures, half of the shifts by symmetry, and weights by weights."""
    taps, shifts = KERNEL**2, (2 * KERNEL - 1) ** 2
    return 2 * layer.units**2 * ((shifts + 1) / 2 * layer.positions + taps * (taps + 1) / 2 * layer.units)


def global_step(name: str, repeats: int) -> dict[str, Any]:
    """One step of `global_curve`: a backward pass, the best candidates and the taken ones run through the suffix."""
    layer = LAYERS[name]
    model, x, y = network(layer)
    sculptor = Sculptor(model, x[:2])
    _warm(model, x)
    before, stats = peak(), sculptor.measure([(x, y)], F.cross_entropy, for_="prune", max_batches=1, axes=[AXIS])
    suffix = Suffix(stats, AXIS, stats.data, distance_of(stats))
    block = -(-layer.units // STEPS)
    candidates = torch.rand(max(CANDIDATES, 2 * block), layer.units, dtype=torch.float64)

    def step() -> None:
        suffix.slopes(candidates[0])
        suffix.losses(candidates)
        suffix.losses(candidates[:1])

    seconds = min(timed(step) for _ in range(repeats))
    return {"step": seconds, "steps": -(-layer.keep // block), "candidates": len(candidates), "memory": peak() - before}


def _warm(model: nn.Module, x: torch.Tensor) -> None:
    """What torch sets up once is no part of what is measured."""
    with torch.no_grad():
        model(x[:1])


def _sums(stats: Statistics, model: nn.Module, x: torch.Tensor) -> float:
    """Without the forward pass."""
    (read,) = stats.consumers[AXIS].reads
    with torch.no_grad():
        inputs = model[:CONSUMER](x)  # type: ignore[index]

        def run() -> None:
            total = sum_of(read, model[CONSUMER].weight)  # type: ignore[index]
            total.add(inputs)
            total.inner()
            total.means()

        return timed(run)


if __name__ == "__main__":
    serve({"local": local, "global": global_step})
