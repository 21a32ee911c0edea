"""A small network whose numbers are not special: trained-looking batch norms, random images."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from netsculpt.demo.data import Part
from netsculpt.demo.network import build_network


def unusual(net: nn.Sequential, seed: int = 1) -> nn.Sequential:
    """Float64, with random batch-norm parameters and statistics, so that a forgotten factor shows."""
    chance = torch.Generator().manual_seed(seed)
    for layer in net:
        if isinstance(layer, nn.BatchNorm2d):
            for values, low in ((layer.weight, 0.5), (layer.bias, -0.5), (layer.running_mean, -0.5)):
                values.data = low + torch.rand(values.shape, generator=chance)
            layer.running_var = 0.3 + torch.rand(layer.running_var.shape, generator=chance)
    return net.double().eval()


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """As the job does: tensors this small are slower on two."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def net() -> nn.Sequential:
    return unusual(build_network((3, 4, 5, 6), seed=0))


@pytest.fixture
def part() -> Part:
    chance = torch.Generator().manual_seed(2)
    images = torch.randn(40, 1, 8, 8, generator=chance)
    return Part(images, torch.randint(0, 10, (40,), generator=chance))
