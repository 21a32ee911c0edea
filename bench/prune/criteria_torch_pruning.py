"""What torch-pruning says of the same network; runs where torch-pruning is, and needs no netsculpt.

`python -m bench.prune.criteria_torch_pruning` prints a line of JSON: criterion -> layer that makes units -> scores.
"""

from __future__ import annotations

import json
from typing import Any

import torch
import torch_pruning
from torch import nn
from torch.nn import functional as F
from torch_pruning.pruner import importance as scorers

from bench.prune.criteria_network import made


def main() -> None:
    torch.set_num_threads(1)
    model, x, y = made()
    hessian = scorers.GroupHessianImportance(normalizer=None)
    every: dict[str, Any] = {
        "l1": scorers.GroupMagnitudeImportance(p=1, normalizer=None),
        "l2": scorers.GroupMagnitudeImportance(p=2, normalizer=None),
        "l1 first": scorers.GroupMagnitudeImportance(p=1, group_reduction="first", normalizer=None),
        "lamp": scorers.LAMPImportance(),
        "fpgm": scorers.FPGMImportance(normalizer=None),
        "batch norm scale": scorers.BNScaleImportance(normalizer=None),
        "taylor": scorers.GroupTaylorImportance(normalizer=None),
        "taylor signed": scorers.GroupTaylorImportance(normalizer=None, multivariable=True),
    }
    F.cross_entropy(model(x), y).backward()
    found = {name: scores(model, x, scorer) for name, scorer in every.items()}
    for loss in F.cross_entropy(model(x), y, reduction="none"):
        model.zero_grad()
        loss.backward(retain_graph=True)
        hessian.accumulate_grad(model)
    print(json.dumps(found | {"hessian": scores(model, x, hessian)}))


def scores(model: nn.Module, x: torch.Tensor, scorer: Any) -> dict[str, list[float]]:
    """By the layer that is the root of a group."""
    names = {module: name for name, module in model.named_modules()}
    graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=x[:1])
    groups = list(graph.get_all_groups(ignored_layers=[model.fc], root_module_types=[nn.Conv2d]))
    found = {names[group[0].dep.target.module]: scorer(group) for group in groups}
    return {name: each.tolist() for name, each in found.items()}


if __name__ == "__main__":
    main()
