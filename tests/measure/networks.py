"""Small networks, one for each way in which units are made, bent and mixed, with data for them."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Case(NamedTuple):
    """A model in float64 and eval mode, its inputs and classes."""

    model: nn.Module
    x: Tensor
    y: Tensor


class Strided(nn.Module):
    """Convolutions with stride, padding and dilation; a linear layer after flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.b = nn.Conv2d(4, 5, (2, 3), padding=1, dilation=(2, 1))
        self.head = nn.Linear(5 * 4 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.b(torch.tanh(self.a(x)))).flatten(1))


class Depthwise(nn.Module):
    """Expand, norm, depthwise, norm, project, as in a MobileNet."""

    def __init__(self) -> None:
        super().__init__()
        self.expand, self.bn1 = nn.Conv2d(3, 5, 1, bias=False), nn.BatchNorm2d(5)
        self.depth, self.bn2 = nn.Conv2d(5, 5, 3, padding=1, groups=5), nn.BatchNorm2d(5)
        self.project, self.head = nn.Conv2d(5, 4, 1), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.bn2(self.depth(F.silu(self.bn1(self.expand(x))))))
        return self.head(F.gelu(self.project(h)).mean((2, 3)))


class VitMlp(nn.Module):
    """LayerNorm, MLP and a residual sum over tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(4), nn.Linear(4, 6), nn.Linear(6, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((x + self.down(F.gelu(self.up(self.norm(x))))).mean(1))


class SwiGlu(nn.Module):
    """Gate and value by a layer each."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(4, 5), nn.Linear(4, 5, bias=False)
        self.down = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x)).mean(1)


class Fused(nn.Module):
    """Gate and value by one layer, in two chunks."""

    def __init__(self) -> None:
        super().__init__()
        self.both, self.down = nn.Linear(4, 10), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.both(x).chunk(2, dim=-1)
        return self.down(torch.sigmoid(gate) * value).mean(1)


class Stream(nn.Module):
    """A residual stream with three producers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)
        self.a, self.b = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1, bias=False)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.stem(x))
        h = F.silu(h + self.norm(self.a(h)))
        return self.head(torch.tanh(h + self.b(h)).mean((2, 3)))


class Squeeze(nn.Module):
    """Squeeze and excite."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
        self.down, self.up = nn.Linear(4, 3), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.conv(x))
        gate = torch.sigmoid(self.up(F.silu(self.down(h.mean((2, 3))))))
        return self.head((h * gate[:, :, None, None]).mean((2, 3)))


class Gpt2(nn.Module):
    """A weight as [in, out], by addmm, and one by matmul with the bias added afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.up_bias = nn.Parameter(torch.randn(4, 6)), nn.Parameter(torch.randn(6))
        self.next, self.next_bias = nn.Parameter(torch.randn(6, 5) / 2), nn.Parameter(torch.randn(5))
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.addmm(self.up_bias, x.reshape(-1, 4), self.up).reshape(*x.shape[:-1], -1)
        h = F.gelu(h, approximate="tanh") @ self.next + self.next_bias
        return self.head(torch.tanh(h)).mean(1)


class Conv1d(nn.Module):
    """Strided, and padded by name, unevenly."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(4, 5, 3, stride=2), nn.Conv1d(5, 4, 2, padding="same")
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.softplus(self.b(F.mish(self.a(x.mT)))).mean(2))


class Conv3d(nn.Module):
    """Unequal strides and paddings."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.head = nn.Conv3d(1, 4, (1, 2, 3), stride=(1, 2, 1), padding=(0, 1, 1)), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.a(x.unflatten(1, (2, 3))[:, None])).mean((2, 3, 4)))


class Transposed(nn.Module):
    """Upsampling by a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1)
        self.b, self.head = nn.Conv2d(4, 4, 3, stride=2), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.b(F.silu(self.a(x)))).mean((2, 3)))


class Grouped(nn.Module):
    """A grouped convolution takes units and makes some."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 6, 3, groups=2)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.b(torch.tanh(self.a(x)))).mean((2, 3)))


class Twice(nn.Module):
    """One hidden layer called on two inputs; its units have one set of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.head = nn.Linear(4, 5), nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(2):
            x = x + self.down(F.silu(self.up(x)))
        return self.head(x).mean(1)


class Pooled(nn.Module):
    """Average and padding between the nonlinearity and what mixes, an in-place activation and instance norm."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm = nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4, affine=True)
        self.b, self.act, self.head = nn.Conv2d(4, 5, 3), nn.SiLU(inplace=True), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = F.pad(F.avg_pool2d(self.act(self.norm(self.a(x))), 2), (1, 1, 1, 1))
        return self.head(self.act(self.b(h)).mean((2, 3)))


class Shifted(nn.Module):
    """A gate by the token before: entries of one producer bend together."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(4, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.up(x)
        return self.down(torch.sigmoid(h[:, 1:]) * h[:, :-1]).mean(1)


class Attention(nn.Module):
    """Heads are units with several rows of three layers each."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.out = (
            nn.Linear(4, 6),
            nn.Linear(4, 6, bias=False),
            nn.Linear(4, 6),
            nn.Linear(6, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(2, (-1, 2)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)).mean(1)


class Recurrent(nn.Module):
    """A cell called on its own answer: its units are mixed by the weight that makes them."""

    def __init__(self) -> None:
        super().__init__()
        self.start, self.step, self.head = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.start(x[:, 0]))
        for _ in range(2):
            h = torch.tanh(self.step(h))
        return self.head(h)


IMAGES: dict[str, Callable[[], nn.Module]] = {
    each.__name__: each for each in (Strided, Depthwise, Stream, Squeeze, Transposed, Grouped, Pooled)
}
TOKENS: dict[str, Callable[[], nn.Module]] = {
    each.__name__: each for each in (VitMlp, SwiGlu, Fused, Gpt2, Conv1d, Twice, Conv3d, Shifted, Attention, Recurrent)
}
NAMES = [*IMAGES, *TOKENS]


def case(name: str, examples: int = 6, dtype: torch.dtype = torch.float64) -> Case:
    """A network with random running statistics, and data that its units answer in bends and not in straight lines."""
    torch.manual_seed(0)
    model = {**IMAGES, **TOKENS}[name]().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    shape = (examples, 3, 7, 7) if name in IMAGES else (examples, 6, 4)
    return Case(
        model.to(dtype), 2 * torch.randn(shape, dtype=torch.float64).to(dtype), torch.randint(0, 3, (examples,))
    )
