"""A small pre-norm GPT of characters, in plain torch; heads, hidden units and blocks are what it can have more of."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Shape(NamedTuple):
    """Of a GPT; `heads` and `hidden` of every block."""

    vocabulary: int
    context: int
    width: int
    head: int
    heads: tuple[int, ...]
    hidden: tuple[int, ...]


class Attention(nn.Module):
    """Causal; every head has its own queries, keys and values of `size` features."""

    def __init__(self, width: int, heads: int, size: int) -> None:
        super().__init__()
        self.size = size
        self.query, self.key, self.value = (nn.Linear(width, heads * size) for _ in range(3))
        self.out = nn.Linear(heads * size, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        query, key, value = (
            layer(x).view(batch, length, -1, self.size).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, -1))


class Block(nn.Module):
    """Attention and a perceptron, each behind its norm and added to the stream."""

    def __init__(self, width: int, heads: int, head: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), Attention(width, heads, head)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Tokens [n, t] -> logits [n, t, vocabulary]."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.token = nn.Embedding(shape.vocabulary, shape.width)
        self.position = nn.Parameter(torch.empty(shape.context, shape.width))
        sizes = zip(shape.heads, shape.hidden, strict=True)
        self.blocks = nn.Sequential(*(Block(shape.width, heads, shape.head, hidden) for heads, hidden in sizes))
        self.norm = nn.LayerNorm(shape.width)
        self.answer = nn.Linear(shape.width, shape.vocabulary)
        reset(self)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.token(tokens) + self.position[: tokens.shape[1]]
        answer: Tensor = self.answer(self.norm(self.blocks(x)))
        return answer


@torch.no_grad()
def reset(model: nn.Module) -> None:
    """New weights: σ = 0.02 for embeddings and 1/√inputs for matrices; in place."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            module.reset_parameters()
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, GPT):
            nn.init.normal_(module.position, std=0.02)


def build(shape: Shape, seed: int) -> GPT:
    torch.manual_seed(seed)
    return GPT(shape)


def fresh(model: nn.Module, seed: int) -> nn.Module:
    """A network of the same shape with new weights."""
    own = copy.deepcopy(model)
    torch.manual_seed(seed)
    reset(own)
    return own


def size(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def conventional(like: Shape, params: int) -> Shape:
    """As many blocks, but with heads that fill the width and four times as many hidden units; nearest in parameters."""
    shapes = []
    for heads in range(1, 17):
        width, blocks = heads * like.head, len(like.heads)
        own = like._replace(width=width, heads=(heads,) * blocks, hidden=(4 * width,) * blocks)
        shapes.append((abs(size(GPT(own)) - params), own))
    return min(shapes)[1]
