"""Small trained-like networks with classes, float64, for pruning: targets are what the network itself says."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import Statistics, measure


class Plain(nn.Module):
    """Convolutions with norm behind one, bias on the other, and a linear layer behind a flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.bn1 = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.b, self.bn2 = nn.Conv2d(8, 6, 3, stride=2, bias=False), nn.BatchNorm2d(6)
        self.c, self.head = nn.Linear(6 * 9, 7), nn.Linear(7, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.bn2(self.b(F.relu(self.bn1(self.a(x))))), inplace=True)
        return self.head(F.relu(self.c(h.flatten(1))))


class Residual(nn.Module):
    """A stream that is added to in place, an inverted bottleneck on it, attention-free."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 6, 3, padding=1, bias=False)
        self.bn0 = nn.BatchNorm2d(6)
        self.expand, self.bn1 = nn.Conv2d(6, 10, 1, bias=False), nn.BatchNorm2d(10)
        self.depth, self.bn2 = nn.Conv2d(10, 10, 3, padding=1, groups=10, bias=False), nn.BatchNorm2d(10)
        self.project, self.bn3 = nn.Conv2d(10, 6, 1, bias=False), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn0(self.stem(x)))
        h = F.relu6(self.bn2(self.depth(F.relu6(self.bn1(self.expand(x))))))
        x += self.bn3(self.project(h))
        return self.head(F.relu_(x).mean((2, 3)))


class Tokens(nn.Module):
    """Attention with grouped keys and a SwiGLU, on tokens of width 8."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = nn.Linear(8, 12), nn.Linear(8, 6), nn.Linear(8, 6), nn.Linear(12, 8)
        self.gate, self.up, self.down = nn.Linear(8, 9), nn.Linear(8, 9), nn.Linear(9, 8, bias=False)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (-1, 3)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        k, v = (each.repeat_interleave(2, 1) for each in (k, v))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        x = x + self.down(F.silu(self.gate(x)) * self.up(x))
        return self.head(x.mean(1))


NETWORKS = {"Plain": Plain, "Residual": Residual, "Tokens": Tokens}


def network(name: str, examples: int = 96) -> tuple[nn.Module, Tensor, Tensor]:
    """Model in float64 and eval mode, inputs and classes that it mostly gets right."""
    torch.manual_seed(0)
    model = NETWORKS[name]().double()
    x = torch.randn(examples, 5, 8) if name == "Tokens" else torch.randn(examples, 2, 8, 8)
    x = x.double()
    for _ in range(3):
        model(x)  # running statistics
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
        model.eval()
        model.head.weight *= 8  # type: ignore[union-attr,operator]
        logits = model(x)
        model.head.bias -= logits.mean(0)  # type: ignore[union-attr,operator]
        y = model(x).argmax(1)
    return model, x, y


def measured(name: str, **options: object) -> Statistics:
    model, x, y = network(name)
    batches = [(x[:60], y[:60]), (x[60:], y[60:])]
    return measure(model, ns.trace(model, x[:3]), batches, F.cross_entropy, for_="prune", **options)  # type: ignore[arg-type]
