"""Decoders of today: Llama, and one with a single key and value for all heads and everything fused."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import architecture, tokens

VOCABULARY = 40


class RMSNorm(nn.Module):
    def __init__(self, hidden_size: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.variance_epsilon = eps

    def forward(self, hidden_states: Tensor) -> Tensor:
        variance = hidden_states.pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.variance_epsilon)
        return self.weight * hidden_states


class RotaryEmbedding(nn.Module):
    def __init__(self, head_dim: int, base: float = 10000.0) -> None:
        super().__init__()
        inv_freq = 1.0 / (base ** (torch.arange(0, head_dim, 2).float() / head_dim))
        self.register_buffer("inv_freq", inv_freq, persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        positions = torch.arange(x.shape[1], device=x.device).to(self.inv_freq.dtype)
        freqs = torch.outer(positions, self.inv_freq)
        emb = torch.cat((freqs, freqs), dim=-1)
        return emb.cos().to(x.dtype), emb.sin().to(x.dtype)


def rotate_half(x: Tensor) -> Tensor:
    x1 = x[..., : x.shape[-1] // 2]
    x2 = x[..., x.shape[-1] // 2 :]
    return torch.cat((-x2, x1), dim=-1)


def repeat_kv(hidden_states: Tensor, n_rep: int) -> Tensor:
    """[batch, kv heads, length, head_dim] -> [batch, heads, length, head_dim]."""
    batch, num_key_value_heads, length, head_dim = hidden_states.shape
    hidden_states = hidden_states[:, :, None, :, :].expand(batch, num_key_value_heads, n_rep, length, head_dim)
    return hidden_states.reshape(batch, num_key_value_heads * n_rep, length, head_dim)


class LlamaAttention(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, num_key_value_heads: int, head_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.num_key_value_heads = num_key_value_heads
        self.num_key_value_groups = num_heads // num_key_value_heads
        self.head_dim = head_dim
        self.q_proj = nn.Linear(hidden_size, num_heads * head_dim, bias=False)
        self.k_proj = nn.Linear(hidden_size, num_key_value_heads * head_dim, bias=False)
        self.v_proj = nn.Linear(hidden_size, num_key_value_heads * head_dim, bias=False)
        self.o_proj = nn.Linear(num_heads * head_dim, hidden_size, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        bsz, q_len, _ = x.size()
        query = self.q_proj(x).view(bsz, q_len, self.num_heads, self.head_dim).transpose(1, 2)
        key = self.k_proj(x).view(bsz, q_len, self.num_key_value_heads, self.head_dim).transpose(1, 2)
        value = self.v_proj(x).view(bsz, q_len, self.num_key_value_heads, self.head_dim).transpose(1, 2)
        query = query * cos + rotate_half(query) * sin
        key = key * cos + rotate_half(key) * sin
        key = repeat_kv(key, self.num_key_value_groups)
        value = repeat_kv(value, self.num_key_value_groups)
        out = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        out = out.transpose(1, 2).contiguous().view(bsz, q_len, self.num_heads * self.head_dim)
        return self.o_proj(out)


class LlamaMLP(nn.Module):
    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.down_proj = nn.Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class LlamaLayer(nn.Module):
    def __init__(self, hidden_size: int, heads: int, kv_heads: int, head_dim: int, intermediate_size: int) -> None:
        super().__init__()
        self.self_attn = LlamaAttention(hidden_size, heads, kv_heads, head_dim)
        self.mlp = LlamaMLP(hidden_size, intermediate_size)
        self.input_layernorm = RMSNorm(hidden_size)
        self.post_attention_layernorm = RMSNorm(hidden_size)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Llama(nn.Module):
    def __init__(self, hidden_size: int = 32, heads: int = 4, kv_heads: int = 2, head_dim: int = 8) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCABULARY, hidden_size)
        self.rotary_emb = RotaryEmbedding(head_dim)
        self.layers = nn.ModuleList(LlamaLayer(hidden_size, heads, kv_heads, head_dim, 48) for _ in range(2))
        self.norm = RMSNorm(hidden_size)
        self.lm_head = nn.Linear(hidden_size, VOCABULARY, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.embed_tokens(input_ids)
        cos, sin = self.rotary_emb(x)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.lm_head(self.norm(x))


def rotate_every_two(x: Tensor) -> Tensor:
    return torch.stack((-x[..., 1::2], x[..., ::2]), dim=-1).flatten(-2)


class ParallelBlock(nn.Module):
    """Attention and MLP from one norm, one matrix in and one sum out; neighbours rotate in the first half of a head."""

    def __init__(self, hidden_size: int, num_heads: int, head_dim: int, intermediate_size: int, positions: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim, self.rotary_dim = num_heads, head_dim, head_dim // 2
        self.fused_dims = (num_heads * head_dim, head_dim, head_dim, 2 * intermediate_size)
        self.norm = nn.LayerNorm(hidden_size, bias=False)
        self.fused = nn.Linear(hidden_size, sum(self.fused_dims), bias=False)
        self.q_norm, self.k_norm = RMSNorm(head_dim), RMSNorm(head_dim)
        self.attn_out = nn.Linear(num_heads * head_dim, hidden_size, bias=False)
        self.ff_out = nn.Linear(intermediate_size, hidden_size, bias=False)
        frequencies = 100.0 ** -(torch.arange(0, self.rotary_dim, 2) / self.rotary_dim)
        angles = torch.outer(torch.arange(positions), frequencies).repeat_interleave(2, dim=-1)
        self.register_buffer("sin", angles.sin())
        self.register_buffer("cos", angles.cos())

    def rotate(self, x: Tensor) -> Tensor:
        turned, kept = x[..., : self.rotary_dim], x[..., self.rotary_dim :]
        length = x.shape[-2]
        turned = turned * self.cos[:length] + rotate_every_two(turned) * self.sin[:length]
        return torch.cat((turned, kept), dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v, ff = self.fused(self.norm(x)).split(self.fused_dims, dim=-1)
        q = q.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)
        q, k = self.rotate(self.q_norm(q)), self.rotate(self.k_norm(k[:, None]))
        k, v = k.repeat_interleave(self.num_heads, dim=1), v[:, None].repeat(1, self.num_heads, 1, 1)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        value, gate = ff.chunk(2, dim=-1)
        attended = self.attn_out(out.transpose(1, 2).reshape(batch, length, -1))
        return x + attended + self.ff_out(F.gelu(gate, approximate="tanh") * value)


class MultiQueryDecoder(nn.Module):
    def __init__(self, hidden_size: int = 32, heads: int = 4, head_dim: int = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, hidden_size)
        self.blocks = nn.Sequential(*[ParallelBlock(hidden_size, heads, head_dim, 40, positions=16) for _ in range(2)])
        self.norm = nn.LayerNorm(hidden_size, bias=False)

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.norm(self.blocks(self.embed(input_ids)))
        return x @ self.embed.weight.t()


@architecture(tokens(VOCABULARY, 10))
def llama() -> nn.Module:
    return Llama()


@architecture(tokens(VOCABULARY, 10))
def multi_query_decoder() -> nn.Module:
    return MultiQueryDecoder()
