"""Vision transformers over all patches of an image."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import architecture, images
from tests.architectures.layers import Mlp


class PatchEmbed(nn.Module):
    def __init__(self, image: int, patch: int, dim: int) -> None:
        super().__init__()
        self.num_patches = (image // patch) ** 2
        self.proj = nn.Conv2d(3, dim, kernel_size=patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.head_dim = dim // num_heads
        self.qkv = nn.Linear(dim, dim * 3)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(B, N, C))


class Block(nn.Module):
    def __init__(self, dim: int, num_heads: int, mlp_hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = Attention(dim, num_heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, mlp_hidden, dropout=0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class MultiheadBlock(nn.Module):
    """The same block on torch's own attention, with a layer scale."""

    def __init__(self, dim: int, num_heads: int, mlp_hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, num_heads, batch_first=True)
        self.scale1 = nn.Parameter(1e-5 * torch.ones(dim))
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, mlp_hidden)
        self.scale2 = nn.Parameter(1e-5 * torch.ones(dim))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.scale1 * self.attn(y, y, y, need_weights=False)[0]
        return x + self.scale2 * self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    def __init__(self, blocks: nn.Module, dim: int, image: int = 16, patch: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(image, patch, dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.patch_embed.num_patches + 1, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.dropout = nn.Dropout(0.1)
        self.blocks = blocks
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        cls = self.cls_token.expand(x.shape[0], -1, -1)
        x = torch.cat((cls, x), dim=1) + self.pos_embed
        x = self.norm(self.blocks(self.dropout(x)))
        return self.head(x[:, 0])


@architecture(images(16))
def vit() -> nn.Module:
    return VisionTransformer(nn.Sequential(*[Block(32, 4, 64) for _ in range(2)]), dim=32)


@architecture(images(16))
def vit_multihead() -> nn.Module:
    return VisionTransformer(nn.Sequential(*[MultiheadBlock(32, 4, 64) for _ in range(2)]), dim=32)


@architecture(images(16))
def vit_encoder_layers() -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, activation="gelu", batch_first=True, norm_first=True)
    return VisionTransformer(nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False), dim=32)


@architecture(images(16))
def vit_encoder_layers_postnorm() -> nn.Module:
    layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
    return VisionTransformer(nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False), dim=32)
