"""Vision transformers that attend within windows: Swin and MaxViT."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import architecture, images
from tests.architectures.layers import ConvNormAct, DropPath, Mlp, SqueezeExcite


def window_partition(x: Tensor, window: int) -> Tensor:
    """[B, H, W, C] -> [B * windows, window, window, C]."""
    B, H, W, C = x.shape
    x = x.view(B, H // window, window, W // window, window, C)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, window, window, C)


def window_reverse(windows: Tensor, window: int, H: int, W: int) -> Tensor:
    B = windows.shape[0] // (H * W // window // window)
    x = windows.view(B, H // window, W // window, window, window, -1)
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(B, H, W, -1)


def relative_position_index(window: int) -> Tensor:
    """For each pair of places in a window, the row of the bias table that belongs to their distance."""
    axis = torch.arange(window)
    coords = torch.stack(torch.meshgrid(axis, axis, indexing="ij")).flatten(1)
    relative = (coords[:, :, None] - coords[:, None, :]).permute(1, 2, 0) + window - 1
    return relative[..., 0] * (2 * window - 1) + relative[..., 1]


class WindowAttention(nn.Module):
    def __init__(self, dim: int, window: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.scale = (dim // num_heads) ** -0.5
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)
        self.register_buffer("relative_position_index", relative_position_index(window))
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        B_, N, C = x.shape
        qkv = self.qkv(x).reshape(B_, N, 3, self.num_heads, C // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        attn = (q * self.scale) @ k.transpose(-2, -1)
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)].view(N, N, -1)
        attn = attn + bias.permute(2, 0, 1).contiguous().unsqueeze(0)
        if mask is not None:
            nW = mask.shape[0]
            attn = attn.view(B_ // nW, nW, self.num_heads, N, N) + mask.unsqueeze(1).unsqueeze(0)
            attn = attn.view(-1, self.num_heads, N, N)
        attn = F.softmax(attn, dim=-1)
        x = (attn @ v).transpose(1, 2).reshape(B_, N, C)
        return self.proj(x)


def shifted_window_mask(resolution: int, window: int, shift: int) -> Tensor:
    """Minus 100 between places of a shifted window that are no neighbours in the image: [windows, places, places]."""
    regions = torch.zeros(1, resolution, resolution, 1)
    slices = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for i, rows in enumerate(slices):
        for j, columns in enumerate(slices):
            regions[:, rows, columns, :] = 3 * i + j
    windows = window_partition(regions, window).view(-1, window * window)
    difference = windows.unsqueeze(1) - windows.unsqueeze(2)
    return difference.masked_fill(difference != 0, -100.0)


class SwinBlock(nn.Module):
    def __init__(self, dim: int, resolution: int, num_heads: int, window: int, shift: int) -> None:
        super().__init__()
        self.resolution, self.window, self.shift = resolution, window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, window, num_heads)
        self.drop_path = DropPath(0.1)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 2 * dim)
        self.register_buffer("attn_mask", shifted_window_mask(resolution, window, shift) if shift else None)

    def forward(self, x: Tensor) -> Tensor:
        H = W = self.resolution
        B, L, C = x.shape
        shortcut = x
        x = self.norm1(x).view(B, H, W, C)
        if self.shift:
            x = torch.roll(x, shifts=(-self.shift, -self.shift), dims=(1, 2))
        windows = window_partition(x, self.window).view(-1, self.window * self.window, C)
        windows = self.attn(windows, self.attn_mask).view(-1, self.window, self.window, C)
        x = window_reverse(windows, self.window, H, W)
        if self.shift:
            x = torch.roll(x, shifts=(self.shift, self.shift), dims=(1, 2))
        x = shortcut + self.drop_path(x.view(B, L, C))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchMerging(nn.Module):
    def __init__(self, dim: int, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        B, _, C = x.shape
        x = x.view(B, self.resolution, self.resolution, C)
        corners = [x[:, 0::2, 0::2, :], x[:, 1::2, 0::2, :], x[:, 0::2, 1::2, :], x[:, 1::2, 1::2, :]]
        x = torch.cat(corners, -1).view(B, -1, 4 * C)
        return self.reduction(self.norm(x))


class Swin(nn.Module):
    def __init__(self, image: int = 16, patch: int = 2, dim: int = 16, window: int = 4, classes: int = 10) -> None:
        super().__init__()
        side = image // patch
        self.patch_embed = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)
        self.patch_norm = nn.LayerNorm(dim)
        self.layers = nn.Sequential(
            SwinBlock(dim, side, 2, window, shift=0),
            SwinBlock(dim, side, 2, window, shift=window // 2),
            PatchMerging(dim, side),
            SwinBlock(2 * dim, side // 2, 4, window // 2, shift=0),
            SwinBlock(2 * dim, side // 2, 4, window // 2, shift=window // 4),
        )
        self.norm = nn.LayerNorm(2 * dim)
        self.head = nn.Linear(2 * dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_norm(self.patch_embed(x).flatten(2).transpose(1, 2))
        x = self.norm(self.layers(x))
        x = F.adaptive_avg_pool1d(x.transpose(1, 2), 1)
        return self.head(torch.flatten(x, 1))


class MBConv(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        hidden = 2 * out_channels
        self.layers = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            ConvNormAct(in_channels, hidden, 1, activation=nn.GELU),
            ConvNormAct(hidden, hidden, 3, stride, hidden, activation=nn.GELU),
            SqueezeExcite(hidden, out_channels // 4, nn.SiLU),
            nn.Conv2d(hidden, out_channels, 1),
        )
        self.proj: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.proj = nn.Sequential(nn.AvgPool2d(3, stride, 1), nn.Conv2d(in_channels, out_channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x) + self.layers(x)


class PartitionAttention(nn.Module):
    """Attention within blocks of neighbours, or within a grid of places that are far apart; then an MLP."""

    def __init__(self, dim: int, head_dim: int, partition: int, grid: bool) -> None:
        super().__init__()
        self.partition, self.grid = partition, grid
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, partition, dim // head_dim)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, 2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        B, C, H, W = x.shape
        p = self.partition
        if self.grid:
            x = x.reshape(B, C, p, H // p, p, W // p).permute(0, 3, 5, 2, 4, 1)
        else:
            x = x.reshape(B, C, H // p, p, W // p, p).permute(0, 2, 4, 3, 5, 1)
        x = x.reshape(-1, p * p, C)
        x = x + self.attn(self.norm1(x))
        x = x + self.mlp(self.norm2(x))
        x = x.reshape(B, H // p, W // p, p, p, C)
        x = x.permute(0, 5, 3, 1, 4, 2) if self.grid else x.permute(0, 5, 1, 3, 2, 4)
        return x.reshape(B, C, H, W)


class MaxViT(nn.Module):
    def __init__(self, widths: tuple[int, ...] = (16, 24), partition: int = 2, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvNormAct(3, 16, stride=2, activation=nn.GELU), nn.Conv2d(16, 16, 3, padding=1)]
        previous = 16
        for width in widths:
            layers += [MBConv(previous, width, 2)]
            layers += [PartitionAttention(width, 8, partition, grid) for grid in (False, True)]
            previous = width
        self.features = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(
            nn.LayerNorm(previous), nn.Linear(previous, previous), nn.Tanh(), nn.Linear(previous, classes, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.features(x)).flatten(1))


@architecture(images(16))
def swin() -> nn.Module:
    return Swin()


@architecture(images(32))
def maxvit() -> nn.Module:
    return MaxViT()
