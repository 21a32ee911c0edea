"""Networks whose units are made and used in ways of their own, and what their new units really do."""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from tests.measure.measured import statistics
from tests.measure.networks import NAMES, Case, case


class Residual(nn.Module):
    """A residual stream: three layers make its units, with batch norms, and three use them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)
        self.a, self.norm, self.b = nn.Conv2d(4, 5, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(5, 4, 3, padding=1)
        self.c, self.d = nn.Conv2d(4, 3, 1), nn.Conv2d(3, 4, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.stem(x))
        h = torch.tanh(h + self.norm(self.b(F.gelu(self.a(h)))))
        h = h + self.d(torch.tanh(self.c(h)))
        return self.head(F.gelu(h).mean((2, 3)))


class Averaged(nn.Module):
    """Batch norms, pools of both kinds and a flatten between."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.b, self.c, self.head = nn.Conv2d(4, 5, 3, padding=1), nn.Conv2d(5, 4, 2), nn.Linear(4 * 9, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.avg_pool2d(F.gelu(self.norm(self.a(x))), 3, 2, 1)
        h = torch.tanh(F.max_pool2d(self.b(h), 3, 1, 1))
        return self.head(F.silu(self.c(h)).flatten(1))


class Wide(nn.Module):
    """Large kernels and dilations on small pictures, so that borders are everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, (5, 3), padding=(3, 1), dilation=(1, 2))
        self.b = nn.Conv2d(4, 5, (3, 5), padding=(2, 3), stride=(2, 1))
        self.c, self.head = nn.Conv2d(5, 4, 3, stride=2, padding=1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.c(torch.tanh(self.b(torch.tanh(self.a(x)))))).mean((2, 3)))


class Plain(nn.Module):
    """Linear layers, with and without biases."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(4, 5), nn.Linear(5, 4, bias=False), nn.Linear(4, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.b(torch.tanh(self.a(x[:, 0])))))


class Gated(nn.Module):
    """Units multiplied with what depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.a(x)) * torch.sigmoid(x[:, :1, 1:-1, 1:-1])).mean((2, 3))


OWN: dict[str, Callable[[], nn.Module]] = {each.__name__: each for each in (Residual, Averaged, Wide, Plain, Gated)}
AXES = [
    ("Plain", "a"), ("Plain", "b"), ("Strided", "a"), ("Strided", "b"), ("Wide", "a"), ("Wide", "b"), ("Wide", "c"),
    ("Averaged", "a"), ("Averaged", "b"), ("Averaged", "c"), ("Residual", "stem"), ("Residual", "a"), ("Residual", "c"),
    ("VitMlp", "up"), ("Gpt2", "up"), ("Gpt2", "next"), ("Conv1d", "a"), ("Conv3d", "a"), ("Transposed", "a"),
    ("Twice", "up"), ("Depthwise", "project"),
]  # fmt: skip


def network(name: str, examples: int = 6) -> Case:
    """A case of one of these networks, or of those of the measurements."""
    if name in NAMES:
        return case(name, examples)
    torch.manual_seed(0)
    model = OWN[name]()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
    shape = (examples, 6, 4) if name == "Plain" else (examples, 3, 7, 7)
    x = 2 * torch.randn(shape, dtype=torch.float64)
    return Case(model.eval().double(), x, torch.randint(0, 3, (examples,)))


def widened(case: Case, axis: str, slices: Mapping[str, Tensor]) -> nn.Module:
    """A copy of the model with new units."""
    model = copy.deepcopy(case.model)
    units = len(next(iter(slices.values())))
    ns.apply(ns.Plan((ns.Widen(axis, units, init=slices),)), model, graph=ns.trace(model, case.x), check=False)
    return model


def loss(model: nn.Module, case: Case) -> Tensor:
    return F.cross_entropy(model(case.x), case.y)


__all__ = ["AXES", "Case", "case", "loss", "network", "statistics", "widened"]
