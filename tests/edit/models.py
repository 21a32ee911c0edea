"""Small models, one for each thing that edits have to get right, and the training that they are put through."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from netsculpt.edit import Plan, apply
from netsculpt.edit.applying import Outcome
from netsculpt.graph import Graph, trace

ROWS = torch.randn(5, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
IMAGES = torch.randn(3, 3, 6, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


class Chain(nn.Module):
    """Linear, tanh, Linear, tanh, Linear: axes ``first`` (6) and ``second`` (5)."""

    def __init__(self, bias: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6, bias=bias)
        self.second = nn.Linear(6, 5, bias=bias)
        self.last = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.second(torch.tanh(self.first(x)))))


class Residual(nn.Module):
    """Two linear layers make one axis, ``start``; ``inner`` is another."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(4, 6)
        self.inner = nn.Linear(6, 5)
        self.back = nn.Linear(5, 6)
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x)
        return self.last(torch.tanh(x + self.back(torch.relu(self.inner(x)))))


class Square(nn.Module):
    """``mix`` both makes and uses the axis ``start``."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Linear(4, 6)
        self.mix = nn.Linear(6, 6)
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x)
        return self.last(torch.tanh(x + self.mix(torch.relu(x))))


class Attention(nn.Module):
    """Fused queries, keys and values: axes of heads and of their width, whose root divides."""

    def __init__(self, width: int = 8, heads: int = 2, head_dim: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.head_dim = head_dim
        self.start = nn.Linear(4, width)
        self.qkv = nn.Linear(width, 3 * heads * head_dim)
        self.out = nn.Linear(heads * head_dim, width)
        self.last = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x).unsqueeze(0)
        batch, length, _ = x.shape
        query, key, value = self.qkv(x).view(batch, length, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)
        scores = (query @ key.transpose(-1, -2) / self.head_dim**0.5).softmax(-1)
        return self.last(self.out((scores @ value).transpose(1, 2).reshape(batch, length, -1)))[0]


class Images(nn.Module):
    """Convolutions, a norm per channel, a norm per group, and a flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1, bias=False)
        self.gn = nn.GroupNorm(4, 8)
        self.conv3 = nn.Conv2d(8, 5, 3)
        self.head = nn.Linear(5 * 16, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.conv1(x)))
        x = torch.relu(self.gn(self.conv2(x)))
        return self.head(torch.relu(self.conv3(x)).flatten(1))


class Factors(nn.Module):
    """Factors of the axis ``first`` (6) that the state dict leaves out, and a buffer of whole numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.last = nn.Linear(6, 2)
        self.register_buffer("factors", torch.ones(6), persistent=False)
        self.register_buffer("count", torch.tensor([1, 2]))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.tanh(self.first(x)) * self.factors) + self.count


def made(kind: type[nn.Module], inputs: Tensor | None = None, seed: int = 0) -> tuple[nn.Module, Graph]:
    """A model of that class with random weights in float64, norms' statistics too, and its graph."""
    torch.manual_seed(seed)
    model = kind().double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 1.5)
    return model, trace(model, (IMAGES if kind is Images else ROWS) if inputs is None else inputs)


def edited(model: nn.Module, graph: Graph, *edits: object, **settings: object) -> Outcome:
    """Apply edits as one plan."""
    return apply(Plan.of(graph, edits), model, graph=graph, **settings)


def answers(model: nn.Module, x: Tensor = ROWS) -> Tensor:
    """What the model says in eval mode."""
    training = model.training
    with torch.no_grad():
        said = model.eval()(x)
    model.train(training)
    return said


def loss(model: nn.Module, x: Tensor = ROWS) -> Tensor:
    """Something to train."""
    return (model(x) - 0.5).square().mean()


def drawn(*shape: int, seed: int = 9) -> Tensor:
    """Random values in float64, the same at every call."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
