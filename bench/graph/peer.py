"""What torch-pruning takes for the same: its dependency graph, all its groups, and a step to half of the channels.

Runs in a process of its own, in an environment that need not have netsculpt.
"""

import copy
import time
from typing import Any

import torch_pruning
from torch import nn

from bench.graph.child import serve
from bench.graph.clock import least, repeated
from bench.graph.models import make

BATCH = 1  # it runs the model for real, so a second image would only cost it time


def groups_task(name: str, repeats: int, limit: float) -> dict[str, Any]:
    """`get_all_groups` with all convolutions and linear layers as roots, which is its default."""
    model, inputs = make(name, BATCH)
    found: list[int] = []

    def sample() -> dict[str, float]:
        start = time.process_time()
        graph = torch_pruning.DependencyGraph().build_dependency(model, example_inputs=inputs)
        built = time.process_time()
        found.append(sum(1 for _ in graph.get_all_groups()))
        return {"total": time.process_time() - built, "tracing": built - start}

    return {**least(repeated(sample, repeats, limit)), "groups": found[-1]}


def step_task(name: str, repeats: int, limit: float) -> dict[str, Any]:
    """`BasePruner(…).step()` with its group magnitude, the classifier's outputs kept as with us."""
    model, inputs = make(name, BATCH)
    before = parameters(model)
    after: list[int] = []

    def sample() -> dict[str, float]:
        own = copy.deepcopy(model)
        last = [module for module in own.modules() if isinstance(module, nn.Linear)][-1]
        importance = torch_pruning.importance.GroupMagnitudeImportance(p=2)
        start = time.process_time()
        pruner = torch_pruning.pruner.BasePruner(
            own, inputs, importance=importance, pruning_ratio=0.5, ignored_layers=[last]
        )
        built = time.process_time()
        pruner.step()
        done = time.process_time()
        after.append(parameters(own))
        return {"total": done - built, "tracing": built - start}

    return {**least(repeated(sample, repeats, limit)), "before": before, "after": after[-1]}


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    serve({"groups": groups_task, "step": step_task})
