"""gromo's statistics and initial values, in an environment that need not have netsculpt.

`PEER-PYTHON -m bench.experiments.peer_growing convolutions float32 3 UNITS.pt`, as `python -m bench.grow` runs it.
GradMax and TINY are its own settings for them, as the documentation of `compute_optimal_updates` lists them.
"""

from importlib.metadata import version
from typing import Any

import torch
from gromo.modules.conv2d_growing_module import FullConv2dGrowingModule
from gromo.modules.growing_module import GrowingModule
from gromo.modules.linear_growing_module import LinearGrowingModule
from torch import Tensor, nn

from bench.grow.child import Found, serve, timed
from bench.grow.layer import Layer, network

WAYS: dict[str, dict[str, Any]] = {
    "gradmax": {"use_covariance": False, "alpha_zero": True, "use_projection": False, "ignore_singular_values": True},
    "tiny": {"use_covariance": True, "alpha_zero": False, "use_projection": True, "ignore_singular_values": False},
}


def modules(layer: Layer, model: nn.Sequential) -> tuple[GrowingModule, GrowingModule]:
    """The same two layers as its modules."""
    kind = FullConv2dGrowingModule if layer.size else LinearGrowingModule
    options: dict[str, Any] = {"kernel_size": 3, "padding": 1} if layer.size else {}
    sizes = {"input_size": (layer.size, layer.size)} if layer.size else {}
    first = kind(layer.units, layer.units, post_layer_function=nn.Tanh(), name="first", **options, **sizes)
    second = kind(
        layer.units, layer.units, previous_module=first, allow_growing=True, name="second", **options, **sizes
    )
    for own, module in ((first, model[0]), (second, model[2])):
        own.layer.load_state_dict(module.state_dict())
    return first, second


def grown(layer: Layer, dtype: torch.dtype, repeats: int) -> tuple[Found, dict[str, Tensor]]:
    model, x, target = network(layer, dtype)
    first, second = modules(layer, model)

    def prepare() -> None:
        second.reset_computation()
        second.init_computation()

    def statistics() -> None:
        for module in (first, second):
            module.zero_grad()
        (second(first(x)) - target).square().sum().backward()
        second.update_computation()

    def solve(way: str) -> None:
        second.compute_optimal_updates(
            compute_delta=False,
            maximum_added_neurons=layer.new,
            dtype=torch.float64,
            statistical_threshold=0.0,
            **WAYS[way],
        )

    seconds = timed(repeats, statistics, prepare)  # one pass makes all of its statistics, whichever are used
    found: Found = {"gromo": version("gromo"), "torch": torch.__version__}
    units: dict[str, Tensor] = {}
    for way in WAYS:
        found[way] = {"statistics": seconds, "solve": timed(repeats, lambda way=way: solve(way))}
        incoming, out = first.extended_output_layer, second.extended_input_layer
        units[f"{way} in"] = torch.cat([incoming.weight.flatten(1), incoming.bias[:, None]], 1)
        units[f"{way} out"] = out.weight.movedim(1, 0).flatten(1)
    return found, units


if __name__ == "__main__":
    serve(grown)
