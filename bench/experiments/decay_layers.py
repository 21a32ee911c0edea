"""The layers whose units are chosen, as Gram matrices of what the units add, all of them together having energy 1."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.experiments.data import Images
from bench.experiments.networks import build
from bench.experiments.training import optimizer_of, train
from netsculpt import Sculptor
from netsculpt.methods.pruning.curves import combined

WIDTHS = (32, 128, 64)  # of the convolutional network; the middle layer is looked at
EPOCHS = 3
PICTURES = 512  # it is measured on
EXAMPLES = (6, 11, 1000)  # the two-layer network is measured on


class Layer(NamedTuple):
    title: str
    gram: Tensor  # [N, N] float64


def two_layers(units: int) -> list[Layer]:
    """A wide network trained on a curved function of five inputs, measured on ever more data."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, units), nn.ReLU(), nn.Linear(units, 1)).double()
    x = torch.randn(4000, 5, dtype=torch.float64)
    y = torch.sin(2 * x[:, :1]) * x[:, 1:2] + x[:, 2:3].abs() - x[:, 3:4] * x[:, 4:]
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(600):
        rows = torch.randint(3000, (128,))
        optimizer.zero_grad()
        F.mse_loss(model(x[rows]), y[rows]).backward()
        optimizer.step()
    found = []
    for count in EXAMPLES:
        rows = slice(3000, 3000 + count)
        found.append(Layer(f"two layers, {units} units, {count} examples", gram(model, x[rows], y[rows], F.mse_loss)))
    return found


def convolutional(data: Images) -> Layer:
    """The middle one of three convolutions with batch norm, after some epochs of training."""
    model = build(WIDTHS, 0)
    train(model, optimizer_of(model), data, EPOCHS, 0)
    part = data.take(torch.arange(PICTURES))
    return Layer(f"CNN, {WIDTHS[1]} units", gram(model.eval(), part.pictures, part.labels, F.cross_entropy, "3"))


def gram(model: nn.Module, x: Tensor, y: Tensor, loss_fn: nn.modules.loss._Loss, axis: str = "0") -> Tensor:
    stats = Sculptor(model, x[:2]).measure([(x, y)], loss_fn, for_="prune", axes=[axis])
    return combined(stats.consumers[axis], stats.grams([axis])[axis])
