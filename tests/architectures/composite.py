"""Models that are put together in ways a chain of layers is not."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import architecture, images, named, numbers


class TwoInputs(nn.Module):
    """An image and a vector in, two named outputs."""

    def __init__(self, features: int = 5) -> None:
        super().__init__()
        self.image = nn.Sequential(
            nn.Conv2d(3, 12, 3, stride=2, padding=1), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 16, 3, padding=1)
        )
        self.vector = nn.Sequential(nn.Linear(features, 16), nn.Tanh())
        self.shared = nn.Linear(16 + 16, 24)
        self.classes = nn.Linear(24, 4)
        self.box = nn.Linear(24 + 16, 2)

    def forward(self, *, image: Tensor, features: Tensor) -> dict[str, Tensor]:
        seen = F.adaptive_max_pool2d(F.relu(self.image(image)), 1).flatten(1)
        told = self.vector(features)
        shared = F.relu(self.shared(torch.cat([seen, told], dim=-1)))
        return {"classes": self.classes(shared), "box": self.box(torch.cat([shared, told * seen], dim=-1))}


class Siamese(nn.Module):
    """One trunk, called for each of two images."""

    def __init__(self, embedding: int = 24) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 12, 3, padding=1),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 16, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(16 * 4, embedding),
        )
        self.head = nn.Linear(2 * embedding, 1)

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        a, b = self.trunk(first), self.trunk(second)
        same = self.head(torch.cat([torch.abs(a - b), a * b], dim=1)).squeeze(1)
        return same, F.cosine_similarity(a, b, dim=1)


class InplaceBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act = nn.LeakyReLU(0.1, inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.act(self.bn1(self.conv1(x))))
        gate = self.gate(out.mean((2, 3), keepdim=True)).sigmoid_()
        out.mul_(gate)
        out.add_(x, alpha=0.5)
        return F.relu_(out)


class InplaceNet(nn.Module):
    def __init__(self, channels: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.blocks = nn.Sequential(InplaceBlock(channels), InplaceBlock(channels))
        self.fc = nn.Linear(2 * channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        pooled = x.new_zeros(x.shape[0], 2 * x.shape[1])
        pooled[:, : x.shape[1]] = x.amax((2, 3))
        pooled[:, x.shape[1] :] = x.mean((2, 3))
        x = self.fc(pooled)
        x /= 2
        return x


class FreeParameters(nn.Module):
    """Weights that belong to no layer: a kernel, matrices, gates, a scale, tokens."""

    def __init__(self, width: int = 16, hidden: int = 24, classes: int = 6) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(width, 3, 3, 3) * 0.2)
        self.gate = nn.Parameter(torch.zeros(width, 1, 1))
        self.blend = nn.Parameter(torch.zeros(1))
        self.tokens = nn.Parameter(torch.randn(2, width))
        self.w1 = nn.Parameter(torch.randn(width, hidden) * width**-0.5)
        self.b1 = nn.Parameter(torch.zeros(hidden))
        self.w2 = nn.Parameter(torch.randn(hidden, width) * hidden**-0.5)
        self.layer_scale = nn.Parameter(torch.full((width,), 1e-4))
        self.classifier = nn.ParameterList([torch.randn(classes, width) * width**-0.5, torch.zeros(classes)])

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.kernel, stride=2, padding=1) * torch.sigmoid(self.gate)
        x = F.relu(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.tokens.unsqueeze(0).expand(x.size(0), -1, -1), x], dim=1)
        hidden = torch.relu(x @ self.w1 + self.b1) @ self.w2
        x = x + self.layer_scale * hidden
        x = self.blend * x[:, 0] + (1 - self.blend) * x[:, 1:].mean(1)
        return F.linear(x, *self.classifier)


class GatedConvNet(nn.Module):
    """Half of the channels gate the other half: by hand, by ``F.glu``, and as WaveNet does."""

    def __init__(self, width: int = 12, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 2 * width, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(2 * width)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.conv3 = nn.Conv2d(width, 2 * width, 3, padding=1)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.bn1(self.conv1(x)).chunk(2, dim=1)
        x = value * torch.sigmoid(gate)
        x = F.glu(self.conv2(x), dim=1)
        value, gate = torch.split(self.conv3(x), self.fc.in_features, dim=1)
        x = x + torch.tanh(value) * torch.sigmoid(gate)
        return self.fc(x.mean(dim=(2, 3)))


class Experts(nn.Module):
    """All experts answer; a softmax weighs their answers."""

    def __init__(self, dim: int = 16, hidden: int = 20, experts: int = 3) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim)) for _ in range(experts)
        )

    def forward(self, x: Tensor) -> Tensor:
        weights = F.softmax(self.gate(x), dim=-1)
        answers = torch.stack([expert(x) for expert in self.experts], dim=-2)
        return (weights.unsqueeze(-1) * answers).sum(dim=-2)


class StackedExperts(nn.Module):
    """The same with the experts' weights in one tensor."""

    def __init__(self, dim: int = 16, hidden: int = 20, experts: int = 3) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, experts)
        self.w1 = nn.Parameter(torch.randn(experts, dim, hidden) * dim**-0.5)
        self.b1 = nn.Parameter(torch.zeros(experts, 1, hidden))
        self.w2 = nn.Parameter(torch.randn(experts, hidden, dim) * hidden**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        weights = F.softmax(self.gate(x), dim=-1)
        flat = x.reshape(1, -1, x.shape[-1]).expand(self.w1.shape[0], -1, -1)
        hidden = F.gelu(torch.bmm(flat, self.w1) + self.b1)
        answers = torch.matmul(hidden, self.w2).view(self.w1.shape[0], *x.shape)
        return torch.einsum("bne,ebnd->bnd", weights, answers)


class MixtureOfExperts(nn.Module):
    def __init__(self, features: int = 6, dim: int = 16, classes: int = 4) -> None:
        super().__init__()
        self.embed = nn.Linear(features, dim)
        self.norm1, self.experts1 = nn.LayerNorm(dim), Experts(dim)
        self.norm2, self.experts2 = nn.RMSNorm(dim), StackedExperts(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        x = x + self.experts1(self.norm1(x))
        x = x + self.experts2(self.norm2(x))
        return self.head(x)


@architecture(named(numbers((2, 3, 16, 16), (2, 5)), "image", "features"))
def two_inputs() -> nn.Module:
    return TwoInputs()


@architecture(numbers((2, 3, 16, 16), (2, 3, 16, 16)))
def siamese() -> nn.Module:
    return Siamese()


@architecture(images(16))
def inplace_net() -> nn.Module:
    return InplaceNet()


@architecture(images(16))
def free_parameters() -> nn.Module:
    return FreeParameters()


@architecture(images(16))
def gated_conv_net() -> nn.Module:
    return GatedConvNet()


@architecture(numbers((2, 5, 6)))
def mixture_of_experts() -> nn.Module:
    return MixtureOfExperts()
