"""Language models: BERT and GPT-2 as their authors wrote them, and a tied one without attention."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import Inputs, architecture, tokens

VOCABULARY = 40


class BertEmbeddings(nn.Module):
    def __init__(self, hidden_size: int, positions: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(VOCABULARY, hidden_size, padding_idx=0)
        self.position_embeddings = nn.Embedding(positions, hidden_size)
        self.token_type_embeddings = nn.Embedding(2, hidden_size)
        self.LayerNorm = nn.LayerNorm(hidden_size, eps=1e-12)
        self.dropout = nn.Dropout(0.1)
        self.register_buffer("position_ids", torch.arange(positions).expand((1, -1)))

    def forward(self, input_ids: Tensor) -> Tensor:
        position_ids = self.position_ids[:, : input_ids.size(1)]
        token_type_ids = torch.zeros_like(input_ids)
        embeddings = self.word_embeddings(input_ids) + self.token_type_embeddings(token_type_ids)
        embeddings = embeddings + self.position_embeddings(position_ids)
        return self.dropout(self.LayerNorm(embeddings))


class BertSelfAttention(nn.Module):
    def __init__(self, hidden_size: int, num_attention_heads: int) -> None:
        super().__init__()
        self.num_attention_heads = num_attention_heads
        self.attention_head_size = hidden_size // num_attention_heads
        self.all_head_size = self.num_attention_heads * self.attention_head_size
        self.query = nn.Linear(hidden_size, self.all_head_size)
        self.key = nn.Linear(hidden_size, self.all_head_size)
        self.value = nn.Linear(hidden_size, self.all_head_size)
        self.dropout = nn.Dropout(0.1)

    def transpose_for_scores(self, x: Tensor) -> Tensor:
        x = x.view((*x.size()[:-1], self.num_attention_heads, self.attention_head_size))
        return x.permute(0, 2, 1, 3)

    def forward(self, hidden_states: Tensor, attention_mask: Tensor) -> Tensor:
        query = self.transpose_for_scores(self.query(hidden_states))
        key = self.transpose_for_scores(self.key(hidden_states))
        value = self.transpose_for_scores(self.value(hidden_states))
        scores = torch.matmul(query, key.transpose(-1, -2)) / math.sqrt(self.attention_head_size)
        probabilities = self.dropout(nn.functional.softmax(scores + attention_mask, dim=-1))
        context = torch.matmul(probabilities, value).permute(0, 2, 1, 3).contiguous()
        return context.view((*context.size()[:-2], self.all_head_size))


class BertLayer(nn.Module):
    def __init__(self, hidden_size: int, heads: int, intermediate_size: int) -> None:
        super().__init__()
        self.attention = BertSelfAttention(hidden_size, heads)
        self.attention_output = nn.Linear(hidden_size, hidden_size)
        self.attention_norm = nn.LayerNorm(hidden_size, eps=1e-12)
        self.intermediate = nn.Linear(hidden_size, intermediate_size)
        self.output = nn.Linear(intermediate_size, hidden_size)
        self.output_norm = nn.LayerNorm(hidden_size, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        attended = self.attention_output(self.attention(x, attention_mask))
        x = self.attention_norm(self.dropout(attended) + x)
        hidden = self.output(F.gelu(self.intermediate(x)))
        return self.output_norm(self.dropout(hidden) + x)


class Bert(nn.Module):
    def __init__(self, hidden_size: int = 32, heads: int = 4, layers: int = 2, classes: int = 3) -> None:
        super().__init__()
        self.embeddings = BertEmbeddings(hidden_size, positions=16)
        self.encoder = nn.ModuleList(BertLayer(hidden_size, heads, 64) for _ in range(layers))
        self.pooler = nn.Linear(hidden_size, hidden_size)
        self.classifier = nn.Linear(hidden_size, classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        x = self.embeddings(input_ids)
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        for layer in self.encoder:
            x = layer(x, mask)
        pooled = torch.tanh(self.pooler(x[:, 0]))
        return {"last_hidden_state": x, "logits": self.classifier(pooled)}


class Conv1D(nn.Module):
    """GPT-2's linear layer: its weight is [in, out]."""

    def __init__(self, nf: int, nx: int) -> None:
        super().__init__()
        self.nf = nf
        self.weight = nn.Parameter(torch.empty(nx, nf).normal_(std=0.02))
        self.bias = nn.Parameter(torch.zeros(nf))

    def forward(self, x: Tensor) -> Tensor:
        size_out = (*x.size()[:-1], self.nf)
        x = torch.addmm(self.bias, x.view(-1, x.size(-1)), self.weight)
        return x.view(size_out)


class GPT2Attention(nn.Module):
    def __init__(self, embed_dim: int, num_heads: int, positions: int) -> None:
        super().__init__()
        self.register_buffer("bias", torch.tril(torch.ones(positions, positions, dtype=torch.bool))[None, None])
        self.num_heads = num_heads
        self.head_dim = embed_dim // num_heads
        self.split_size = embed_dim
        self.c_attn = Conv1D(3 * embed_dim, embed_dim)
        self.c_proj = Conv1D(embed_dim, embed_dim)
        self.attn_dropout = nn.Dropout(0.1)

    def _split_heads(self, x: Tensor) -> Tensor:
        return x.view((*x.size()[:-1], self.num_heads, self.head_dim)).permute(0, 2, 1, 3)

    def _merge_heads(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 1, 3).contiguous()
        return x.view((*x.size()[:-2], self.num_heads * self.head_dim))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.c_attn(x).split(self.split_size, dim=2)
        query, key, value = self._split_heads(query), self._split_heads(key), self._split_heads(value)
        weights = torch.matmul(query, key.transpose(-1, -2)) / self.head_dim**0.5
        length = x.size(1)
        causal = self.bias[:, :, :length, :length]
        weights = torch.where(causal, weights, torch.finfo(weights.dtype).min)
        weights = self.attn_dropout(F.softmax(weights, dim=-1))
        return self.c_proj(self._merge_heads(torch.matmul(weights, value)))


class GPT2Block(nn.Module):
    def __init__(self, n_embd: int, n_head: int, positions: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(n_embd)
        self.attn = GPT2Attention(n_embd, n_head, positions)
        self.ln_2 = nn.LayerNorm(n_embd)
        self.c_fc = Conv1D(2 * n_embd, n_embd)
        self.c_proj = Conv1D(n_embd, 2 * n_embd)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        hidden = self.c_fc(self.ln_2(x))
        hidden = 0.5 * hidden * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (hidden + 0.044715 * hidden.pow(3.0))))
        return x + self.c_proj(hidden)


class GPT2(nn.Module):
    def __init__(self, n_embd: int = 32, n_head: int = 4, n_layer: int = 2, positions: int = 16) -> None:
        super().__init__()
        self.wte = nn.Embedding(VOCABULARY, n_embd)
        self.wpe = nn.Embedding(positions, n_embd)
        self.h = nn.ModuleList(GPT2Block(n_embd, n_head, positions) for _ in range(n_layer))
        self.ln_f = nn.LayerNorm(n_embd)
        self.lm_head = nn.Linear(n_embd, VOCABULARY, bias=False)
        self.lm_head.weight = self.wte.weight

    def forward(self, input_ids: Tensor) -> Tensor:
        positions = torch.arange(0, input_ids.size(1), dtype=torch.long, device=input_ids.device).unsqueeze(0)
        x = self.wte(input_ids) + self.wpe(positions)
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


class TiedLanguageModel(nn.Module):
    """The next word from the last few, all in one vector; words come out through the embedding they went in by."""

    def __init__(self, context: int = 6, embedding: int = 16, hidden: int = 32) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, embedding)
        self.hidden = nn.Linear(context * embedding, hidden)
        self.project = nn.Linear(hidden, embedding)
        self.bias = nn.Parameter(torch.zeros(VOCABULARY))

    def forward(self, words: Tensor) -> Tensor:
        x = self.embedding(words).flatten(1)
        x = self.project(torch.tanh(self.hidden(x)))
        return F.linear(x, self.embedding.weight, self.bias)


def padded_sentences() -> Inputs:
    """The second sentence is shorter than the first."""
    (input_ids,) = tokens(VOCABULARY, 10)()
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, 7:] = 0
    return {"input_ids": input_ids * attention_mask, "attention_mask": attention_mask}


@architecture(padded_sentences)
def bert() -> nn.Module:
    return Bert()


@architecture(tokens(VOCABULARY, 10))
def gpt2() -> nn.Module:
    return GPT2()


@architecture(tokens(VOCABULARY, 6))
def tied_language_model() -> nn.Module:
    return TiedLanguageModel()
