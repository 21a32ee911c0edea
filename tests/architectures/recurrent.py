"""Recurrent networks: torch's whole layers, and a cell that the model steps itself."""

import torch
from torch import Tensor, nn

from tests.architectures.core import architecture, numbers, tokens

VOCABULARY = 40


class LSTMTagger(nn.Module):
    def __init__(self, embedding: int = 16, hidden: int = 12, tags: int = 5) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, embedding)
        self.dropout = nn.Dropout(0.1)
        self.lstm = nn.LSTM(embedding, hidden, num_layers=2, batch_first=True, bidirectional=True)
        self.tag = nn.Linear(2 * hidden, tags)

    def forward(self, sentence: Tensor) -> Tensor:
        states, _ = self.lstm(self.dropout(self.embedding(sentence)))
        return self.tag(states)


class GRURegressor(nn.Module):
    def __init__(self, features: int = 6, hidden: int = 16) -> None:
        super().__init__()
        self.project = nn.Linear(features, 12)
        self.gru = nn.GRU(12, hidden, batch_first=True)
        self.head = nn.Sequential(nn.Linear(hidden, 24), nn.ReLU(), nn.Linear(24, 1))

    def forward(self, series: Tensor) -> Tensor:
        _, last = self.gru(torch.relu(self.project(series)))
        return self.head(last[-1]).squeeze(-1)


class CellDecoder(nn.Module):
    """A sequence from one vector: each step's output is the next step's input."""

    def __init__(self, code: int = 8, hidden: int = 16, features: int = 4, steps: int = 4) -> None:
        super().__init__()
        self.steps = steps
        self.start = nn.Parameter(torch.zeros(features))
        self.to_state = nn.Linear(code, 2 * hidden)
        self.cell = nn.LSTMCell(features, hidden)
        self.out = nn.Linear(hidden, features)

    def forward(self, code: Tensor) -> Tensor:
        hidden, cell = torch.tanh(self.to_state(code)).chunk(2, dim=-1)
        step = self.start.expand(code.shape[0], -1)
        series = []
        for _ in range(self.steps):
            hidden, cell = self.cell(step, (hidden, cell))
            step = self.out(hidden)
            series.append(step)
        return torch.stack(series, dim=1)


@architecture(tokens(VOCABULARY, 8))
def lstm_tagger() -> nn.Module:
    return LSTMTagger()


@architecture(numbers((2, 8, 6)))
def gru_regressor() -> nn.Module:
    return GRURegressor()


@architecture(numbers((2, 8)))
def lstm_cell_decoder() -> nn.Module:
    return CellDecoder()
