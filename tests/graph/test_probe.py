"""The probe finds what the code does not follow, wherever it is; depth does not change the number of whole runs."""

import copy

import pytest
import torch
from torch import Tensor, nn

from netsculpt.graph import trace
from netsculpt.graph.rehearsal import Rehearsal


class Attention(nn.Module):
    """Merges its heads into the width of its input, as is often written."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads, self.head_dim = heads, width // heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.num_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        return self.proj(nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(width), Attention(width, 2)
        self.hidden, self.out = nn.Linear(width, 12), nn.Linear(12, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm(x))
        return x + self.out(self.hidden(x).relu())


def transformer(layers: int) -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), *(Block(8) for _ in range(layers)), nn.Linear(8, 3))


class Literal(nn.Module):
    """Has the size of its hidden layer written into the code."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(6, 10), nn.Linear(10, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(x).reshape(-1, 4, 10).relu())


class Remembering(nn.Module):
    """Appends to a list that it is given, so that it does not do the same twice with the same list."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 10), nn.Linear(10, 6)

    def forward(self, x: Tensor, seen: list[Tensor]) -> Tensor:
        seen.append(self.first(x))
        assert len(seen) == 1
        return self.second(seen[0].reshape(-1, 4, 10))


class WithMemory(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.width, self.out = Remembering(), nn.Linear(6, 7), nn.Linear(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.width(self.inner(x, [])))


def frozen(graph: object) -> set[str]:
    return {axis.name for axis in graph if axis.frozen is not None}  # type: ignore[attr-defined]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name for every run of a whole model."""
    made: list[str] = []
    run = Rehearsal.run
    monkeypatch.setattr(Rehearsal, "run", lambda *args, **kwargs: made.append("run") or run(*args, **kwargs))
    return made


def test_more_layers_need_no_more_runs_of_the_whole_model(runs: list[str]) -> None:
    counts = []
    for layers in (2, 4, 8):
        runs.clear()
        graph = trace(transformer(layers), torch.randn(2, 4, 5))
        assert all(proof.holds for proof in graph.verify(transformer(layers)))
        assert not frozen(graph) - {f"{layers + 1}"}
        counts.append(len(runs))
    assert counts[0] == counts[1] == counts[2]


def test_a_size_in_the_code_freezes_its_axis_and_no_other() -> None:
    model = nn.Sequential(nn.Linear(5, 6), *(Literal() for _ in range(3)), nn.Linear(6, 3))
    graph = trace(model, torch.randn(2, 4, 5))
    assert frozen(graph) - {"4"} == {"1.hidden", "2.hidden", "3.hidden"}
    assert "reshape" in graph["2.hidden"].frozen or "invalid" in graph["2.hidden"].frozen


def test_a_module_that_does_not_repeat_itself_is_probed_inside_the_whole() -> None:
    graph = trace(WithMemory(), torch.randn(2, 4, 6))
    assert frozen(graph) - {"out"} == {"inner.first"}


def test_the_model_is_as_it_was() -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.literal, self.norm = nn.LSTM(6, 6, batch_first=True), Literal(), nn.BatchNorm1d(4)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.calls += 1
            return self.norm(self.literal(self.lstm(x)[0]))

    model, x = Tagger().eval(), torch.randn(2, 4, 6)
    before = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    flat, answer = list(model.lstm._flat_weights), model(x)
    attributes = [copy.copy(vars(module)) for module in model.modules()]
    trace(model, x)
    assert model.calls == 1
    after = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert list(before) == list(after) and all(before[name] is after[name] for name in before)
    assert all(a is b for a, b in zip(flat, model.lstm._flat_weights, strict=True))
    assert [vars(module).keys() for module in model.modules()] == [each.keys() for each in attributes]
    assert all(not module._forward_pre_hooks and not module._forward_hooks for module in model.modules())
    assert torch.equal(model(x), answer)
