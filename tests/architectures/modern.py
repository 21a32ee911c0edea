"""Convolutional networks and mixers in the manner of transformers."""

import torch
from torch import Tensor, nn

from tests.architectures.core import architecture, images
from tests.architectures.layers import Mlp


class LayerNorm2d(nn.Module):
    """Layer norm over the channels of [N, C, H, W], written out, as ConvNeXt has it."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(variance + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class ConvNeXtBlock(nn.Module):
    def __init__(self, dim: int, layer_scale: float = 1e-6) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.act = nn.GELU()
        self.pwconv2 = nn.Linear(4 * dim, dim)
        self.gamma = nn.Parameter(layer_scale * torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x
        x = self.dwconv(x)
        x = x.permute(0, 2, 3, 1)
        x = self.pwconv2(self.act(self.pwconv1(self.norm(x))))
        x = self.gamma * x
        return shortcut + x.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self, dims: tuple[int, ...] = (16, 32), classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, dims[0], kernel_size=4, stride=4), LayerNorm2d(dims[0])]
        previous = dims[0]
        for dim in dims:
            if dim != previous:
                layers += [LayerNorm2d(previous), nn.Conv2d(previous, dim, kernel_size=2, stride=2)]
            layers += [ConvNeXtBlock(dim), ConvNeXtBlock(dim)]
            previous = dim
        self.features = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(dims[-1], eps=1e-6)
        self.head = nn.Linear(dims[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)
        return self.head(self.norm(x.mean([-2, -1])))


class MixerBlock(nn.Module):
    def __init__(self, dim: int, patches: int, token_hidden: int, channel_hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.token_mixing = Mlp(patches, token_hidden)
        self.norm2 = nn.LayerNorm(dim)
        self.channel_mixing = Mlp(dim, channel_hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.token_mixing(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channel_mixing(self.norm2(x))


class MlpMixer(nn.Module):
    def __init__(self, image: int = 16, patch: int = 4, dim: int = 32, depth: int = 2, classes: int = 10) -> None:
        super().__init__()
        patches = (image // patch) ** 2
        self.embed = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)
        self.blocks = nn.Sequential(*[MixerBlock(dim, patches, 24, 64) for _ in range(depth)])
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = self.norm(self.blocks(x))
        return self.head(x.mean(dim=1))


class EinsumAttention(nn.Module):
    """Attention whose weights have a dim for the heads: no view anywhere."""

    def __init__(self, dim: int, num_heads: int, head_dim: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(dim, num_heads, head_dim) * dim**-0.5)
        self.key = nn.Parameter(torch.randn(dim, num_heads, head_dim) * dim**-0.5)
        self.value = nn.Parameter(torch.randn(dim, num_heads, head_dim) * dim**-0.5)
        self.out = nn.Parameter(torch.randn(num_heads, head_dim, dim) * (num_heads * head_dim) ** -0.5)
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        q = torch.einsum("bnc,chd->bnhd", x, self.query)
        k = torch.einsum("bnc,chd->bnhd", x, self.key)
        v = torch.einsum("bnc,chd->bnhd", x, self.value)
        scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * self.query.shape[-1] ** -0.5
        context = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(dim=-1), v)
        return torch.einsum("bqhd,hdc->bqc", context, self.out) + self.bias


class EinsumMixer(nn.Module):
    def __init__(self, image: int = 16, patch: int = 4, dim: int = 32, hidden: int = 24, classes: int = 10) -> None:
        super().__init__()
        patches = (image // patch) ** 2
        self.patch = patch
        self.embed = nn.Linear(3 * patch * patch, dim)
        self.norm1 = nn.LayerNorm(dim)
        self.attention = EinsumAttention(dim, num_heads=4, head_dim=6)
        self.norm2 = nn.LayerNorm(dim)
        self.mix_in = nn.Parameter(torch.randn(hidden, patches) * patches**-0.5)
        self.mix_out = nn.Parameter(torch.randn(patches, hidden) * hidden**-0.5)
        self.norm3 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 48)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        p = self.patch
        x = x.reshape(batch, channels, height // p, p, width // p, p)
        x = x.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * p * p)
        x = self.embed(x)
        x = x + self.attention(self.norm1(x))
        mixed = torch.relu(torch.einsum("hn,bnc->bhc", self.mix_in, self.norm2(x)))
        x = x + torch.einsum("nh,bhc->bnc", self.mix_out, mixed)
        x = x + self.mlp(self.norm3(x))
        return self.head(x.mean(1))


@architecture(images(32))
def convnext() -> nn.Module:
    return ConvNeXt()


@architecture(images(16))
def mlp_mixer() -> nn.Module:
    return MlpMixer()


@architecture(images(16))
def einsum_mixer() -> nn.Module:
    return EinsumMixer()
