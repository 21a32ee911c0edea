"""T5: encoder and decoder with cross-attention, relative position bias, one embedding for all."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import architecture, named, tokens

VOCABULARY = 40


class T5LayerNorm(nn.Module):
    def __init__(self, d_model: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d_model))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps))


def relative_position_bucket(relative: Tensor, bidirectional: bool, buckets: int, max_distance: int) -> Tensor:
    """One bucket for each short distance, and wider ones for long distances."""
    result = torch.zeros_like(relative)
    if bidirectional:
        buckets //= 2
        result = result + (relative > 0).long() * buckets
        relative = torch.abs(relative)
    else:
        relative = -torch.min(relative, torch.zeros_like(relative))
    exact = buckets // 2
    far = torch.log(relative.float() / exact) / math.log(max_distance / exact) * (buckets - exact)
    far = (exact + far.clamp(min=0).long()).clamp(max=buckets - 1)
    return result + torch.where(relative < exact, relative, far)


class T5Attention(nn.Module):
    def __init__(self, d_model: int, n_heads: int, d_kv: int, bias: str | None = None) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.key_value_proj_dim = d_kv
        self.inner_dim = n_heads * d_kv
        self.q = nn.Linear(d_model, self.inner_dim, bias=False)
        self.k = nn.Linear(d_model, self.inner_dim, bias=False)
        self.v = nn.Linear(d_model, self.inner_dim, bias=False)
        self.o = nn.Linear(self.inner_dim, d_model, bias=False)
        self.bidirectional = bias == "bidirectional"
        self.relative_attention_bias = nn.Embedding(8, n_heads) if bias else None

    def compute_bias(self, length: int, device: torch.device) -> Tensor:
        positions = torch.arange(length, device=device)
        relative = positions[None, :] - positions[:, None]
        bucket = relative_position_bucket(relative, self.bidirectional, buckets=8, max_distance=16)
        return self.relative_attention_bias(bucket).permute([2, 0, 1]).unsqueeze(0)

    def forward(self, hidden: Tensor, context: Tensor, bias: Tensor | None) -> Tensor:
        batch = hidden.shape[0]

        def shape(states: Tensor) -> Tensor:
            return states.view(batch, -1, self.n_heads, self.key_value_proj_dim).transpose(1, 2)

        scores = torch.matmul(shape(self.q(hidden)), shape(self.k(context)).transpose(3, 2))
        if bias is not None:
            scores = scores + bias
        weights = F.dropout(F.softmax(scores, dim=-1), p=0.1, training=self.training)
        attended = torch.matmul(weights, shape(self.v(context)))
        return self.o(attended.transpose(1, 2).contiguous().view(batch, -1, self.inner_dim))


class T5Block(nn.Module):
    """Self-attention, cross-attention in a decoder, feed-forward; each added to what its norm saw."""

    def __init__(self, d_model: int, heads: int, d_kv: int, d_ff: int, decoder: bool, bias: str | None) -> None:
        super().__init__()
        self.norm1 = T5LayerNorm(d_model)
        self.attention = T5Attention(d_model, heads, d_kv, bias)
        if decoder:
            self.norm2 = T5LayerNorm(d_model)
            self.cross_attention = T5Attention(d_model, heads, d_kv)
        self.norm3 = T5LayerNorm(d_model)
        self.wi = nn.Linear(d_model, d_ff, bias=False)
        self.wo = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x: Tensor, bias: Tensor, encoded: Tensor | None = None) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, bias)
        if encoded is not None:
            x = x + self.cross_attention(self.norm2(x), encoded, None)
        return x + self.wo(F.relu(self.wi(self.norm3(x))))


class T5Stack(nn.Module):
    def __init__(self, embedding: nn.Embedding, heads: int, d_kv: int, d_ff: int, layers: int, decoder: bool) -> None:
        super().__init__()
        self.embed_tokens = embedding
        self.decoder = decoder
        # Only the first block has a bias table; all others add the same bias.
        kinds = ["causal" if decoder else "bidirectional"] + [None] * (layers - 1)
        self.block = nn.ModuleList(T5Block(embedding.embedding_dim, heads, d_kv, d_ff, decoder, kind) for kind in kinds)
        self.final_layer_norm = T5LayerNorm(embedding.embedding_dim)

    def forward(self, ids: Tensor, encoded: Tensor | None = None) -> Tensor:
        x = self.embed_tokens(ids)
        length = ids.shape[1]
        bias = self.block[0].attention.compute_bias(length, ids.device)
        if self.decoder:
            future = torch.full((length, length), torch.finfo(x.dtype).min, dtype=x.dtype, device=x.device).triu(1)
            bias = bias + future
        for block in self.block:
            x = block(x, bias, encoded)
        return self.final_layer_norm(x)


class T5(nn.Module):
    def __init__(self, d_model: int = 32, heads: int = 3, d_kv: int = 8, d_ff: int = 48, layers: int = 2) -> None:
        super().__init__()
        self.model_dim = d_model
        self.shared = nn.Embedding(VOCABULARY, d_model)
        self.encoder = T5Stack(self.shared, heads, d_kv, d_ff, layers, decoder=False)
        self.decoder = T5Stack(self.shared, heads, d_kv, d_ff, layers, decoder=True)
        self.lm_head = nn.Linear(d_model, VOCABULARY, bias=False)
        self.lm_head.weight = self.shared.weight

    def forward(self, input_ids: Tensor, decoder_input_ids: Tensor) -> Tensor:
        encoded = self.encoder(input_ids)
        decoded = self.decoder(decoder_input_ids, encoded)
        return self.lm_head(decoded * self.model_dim**-0.5)


@architecture(named(tokens(VOCABULARY, 10, 8), "input_ids", "decoder_input_ids"))
def t5() -> nn.Module:
    return T5()
