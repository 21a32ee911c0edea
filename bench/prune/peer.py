"""What torch-pruning takes to score the layer's units, in an environment that need not have netsculpt."""

import time
from typing import Any

import torch_pruning
from torch.nn import functional as F

from bench.prune.child import peak, serve
from bench.prune.layer import LAYERS, network


def taylor(name: str, repeats: int) -> dict[str, Any]:
    """`GroupTaylorImportance`: one forward and backward pass of the batch."""
    runs = [_scored(name, "GroupTaylorImportance") for _ in range(repeats)]
    return min(runs, key=lambda each: each["total"]) | {"memory": runs[0]["memory"]}  # later ones find it there


def hessian(name: str, repeats: int) -> dict[str, Any]:
    """`GroupHessianImportance` as its documentation says: a backward pass of the batch for every picture's loss."""
    return _scored(name, "GroupHessianImportance")


def _scored(name: str, importance: str) -> dict[str, Any]:
    layer = LAYERS[name]
    model, x, y = network(layer)
    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=x[:1])
    group = graph.get_pruning_group(model[0], torch_pruning.prune_conv_out_channels, list(range(layer.units)))
    scorer = getattr(torch_pruning.importance, importance)()
    before, start = peak(), time.process_time()
    if importance == "GroupTaylorImportance":
        F.cross_entropy(model(x), y).backward()
    else:
        for loss in F.cross_entropy(model(x), y, reduction="none"):
            model.zero_grad()
            loss.backward(retain_graph=True)
            scorer.accumulate_grad(model)
    measured = time.process_time()
    scores = scorer(group)
    assert len(scores) == layer.units
    end = time.process_time()
    return {"total": end - start, "measure": measured - start, "select": end - measured, "memory": peak() - before}


if __name__ == "__main__":
    serve({"taylor": taylor, "hessian": hessian})
