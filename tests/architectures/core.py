"""What all architectures share: an entry in a registry, random weights that leave no channel dead, seeded inputs."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

Inputs = tuple[Tensor, ...] | dict[str, Tensor]
"""Positional arguments, or keyword arguments, of a model's forward."""


class Architecture(NamedTuple):
    """A model in eval mode and float32 with random weights, and inputs for it; both the same at every call."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]


OWN: list[Architecture] = []
TRANSFORMERS: list[Architecture] = []
TORCHVISION: list[Architecture] = []
FACTORIES: dict[str, Callable[[], tuple[nn.Module, Inputs]]] = {}


def architecture(
    inputs: Callable[[], Inputs], registry: list[Architecture] = OWN
) -> Callable[[Callable[[], nn.Module]], Callable[[], tuple[nn.Module, Inputs]]]:
    """Register the decorated definition under its name; what is left is a factory of the model and its inputs."""

    def register(define: Callable[[], nn.Module]) -> Callable[[], tuple[nn.Module, Inputs]]:
        def build() -> nn.Module:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)
                return randomize(define(), seed=0).eval()

        @functools.wraps(define)
        def factory() -> tuple[nn.Module, Inputs]:
            return build(), inputs()

        assert define.__name__ not in FACTORIES, f"two architectures are called {define.__name__}"
        FACTORIES[define.__name__] = factory
        registry.append(Architecture(define.__name__, build, inputs))
        return factory

    return register


def randomize(model: nn.Module, seed: int) -> nn.Module:
    """Random weights for which every parameter matters: nothing constant, nothing vanishing, no neutral norm."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(like: Tensor) -> Tensor:
        return torch.rand(like.shape, generator=generator) + 0.5

    def shifted(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator) * 0.3 + 0.2  # more units that a ReLU lets pass than not

    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.max() - parameter.min() < 1e-2:  # a norm's weight or bias, a layer scale, a gate
                parameter.copy_(uniform(parameter) if parameter.mean() > 0.5 else shifted(parameter))
            elif parameter.dim() > 1:
                # Up to where a ReLU keeps the variance: the usual 0.02 of language models is for widths of 768.
                target = math.sqrt(2 * len(parameter) / parameter.numel())
                parameter.mul_((target / parameter.square().mean().sqrt()).clamp(min=1))
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.weight.copy_(uniform(module.weight))  # transformers' EfficientNet has them near zero
                module.running_mean.copy_(shifted(module.running_mean) - 0.2)
                module.running_var.copy_(uniform(module.running_var))
    return model


def numbers(*shapes: tuple[int, ...]) -> Callable[[], Inputs]:
    """Normal numbers, one tensor for each shape."""

    def make() -> Inputs:
        generator = torch.Generator().manual_seed(1)
        return tuple(torch.randn(shape, generator=generator) for shape in shapes)

    return make


def images(size: int = 16, channels: int = 3) -> Callable[[], Inputs]:
    """Two square images."""
    return numbers((2, channels, size, size))


def tokens(vocabulary: int, *lengths: int) -> Callable[[], Inputs]:
    """Two sentences of each length, as indices into the vocabulary."""

    def make() -> Inputs:
        generator = torch.Generator().manual_seed(1)
        return tuple(torch.randint(1, vocabulary, (2, length), generator=generator) for length in lengths)

    return make


def named(inputs: Callable[[], Inputs], *names: str) -> Callable[[], Inputs]:
    """Positional inputs as keyword arguments with these names."""
    return lambda: dict(zip(names, inputs(), strict=True))


def arguments(inputs: Inputs) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """Inputs as the ``args`` and ``kwargs`` of a call."""
    return ((), inputs) if isinstance(inputs, dict) else (inputs, {})


def in_float64(inputs: Inputs) -> Inputs:
    """The same inputs with floating-point tensors in float64."""
    return pytree.tree_map(lambda value: value.double() if value.is_floating_point() else value, inputs)


def outputs(model: nn.Module, inputs: Inputs) -> list[Tensor]:
    """All tensors that the model returns, in the order of its output's tree."""
    args, kwargs = arguments(inputs)
    result: Any = model(*args, **kwargs)
    return [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
