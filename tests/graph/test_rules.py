"""Operations between two layers: the units of the first are followed through each, and the graph proves itself."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from netsculpt.errors import GraphError
from netsculpt.graph import Graph, trace
from tests.graph.proofs import failures

IMAGE = torch.randn(2, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(2, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


class Between(nn.Module):
    """``body`` between a layer that makes units and one that uses them."""

    def __init__(self, first: nn.Module, body: Callable[[Tensor], Tensor], last: nn.Module) -> None:
        super().__init__()
        self.first, self.last = first, last
        self.inner = body if isinstance(body, nn.Module) else None
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(self.first(x)))


def of_images(
    body: Callable[[Tensor], Tensor], into: int = 8, last: nn.Module | None = None
) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return Between(nn.Conv2d(3, 8, 3, padding=1), body, last or nn.Conv2d(into, 2, 1)).double().eval(), IMAGE


def of_rows(body: Callable[[Tensor], Tensor], into: int = 8) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return Between(nn.Linear(6, 8), body, nn.Linear(into, 2)).double().eval(), ROWS


def proven(model: nn.Module, inputs: Any) -> Graph:
    graph = trace(model, inputs)
    assert failures(graph, model) == []
    return graph


EXACT_ON_IMAGES: dict[str, Callable[[Tensor], Tensor]] = {
    "relu in place": lambda x: F.relu(x, inplace=True),
    "gelu": F.gelu,
    "silu": F.silu,
    "hardswish": F.hardswish,
    "leaky relu": lambda x: F.leaky_relu(x, 0.1),
    "softplus": F.softplus,
    "tanh sigmoid product": lambda x: x.tanh() * x.sigmoid(),
    "clamp and where": lambda x: torch.where(x > 0, x, x.clamp(-1, 1)),
    "arithmetic": lambda x: (2 * x - x / 3 + x**2).add_(1),
    "max pool": lambda x: F.max_pool2d(x, 2),
    "average pool": lambda x: F.avg_pool2d(x, 2),
    "adaptive average pool": lambda x: F.adaptive_avg_pool2d(x, 2),
    "adaptive max pool": lambda x: F.adaptive_max_pool2d(x, 2),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda x: F.interpolate(x, size=(5, 5), mode="bilinear"),
    "reflection": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "replication": lambda x: F.pad(x, (1, 2, 1, 2), mode="replicate"),
    "constant": lambda x: F.pad(x, (1, 0, 0, 1)),
    "flip of places": lambda x: x.flip(-1).roll(2, -2),
    "permute and back": lambda x: x.permute(0, 2, 3, 1).contiguous().movedim(-1, 1),
    "flatten and back": lambda x: x.flatten(2).transpose(1, 2).unflatten(1, (8, 8)).permute(0, 3, 1, 2),
    "squeeze": lambda x: x.unsqueeze(1).squeeze(1),
    "slice of places": lambda x: x[:, :, 1:-1, ::2],
    "sum over places": lambda x: x.sum((2, 3), keepdim=True),
    "instance norm": F.instance_norm,
    "std over places": lambda x: x - x.std((2, 3), keepdim=True),
    "einsum": lambda x: torch.einsum("bchw,bcw->bchw", x, x.mean(2)),
    "dropout": lambda x: F.dropout2d(x, training=False),
    "cast": lambda x: x.to(torch.float64).type_as(x),
}


@pytest.mark.parametrize("body", EXACT_ON_IMAGES.values(), ids=EXACT_ON_IMAGES.keys())
def test_channels_are_followed_exactly(body: Callable[[Tensor], Tensor]) -> None:
    graph = proven(*of_images(body))
    assert (graph["first"].size, graph["first"].frozen, graph["first"].inexact) == (8, None, None)
    assert [place.tensor for place in graph["first"].consumers] == ["last.weight"]


MODULES: dict[str, nn.Module] = {
    "batch norm": nn.BatchNorm2d(8),
    "depthwise": nn.Conv2d(8, 8, 3, padding=1, groups=8),
    "dilated depthwise": nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, padding_mode="circular"),
    "prelu": nn.PReLU(8),
    "norm per channel": nn.GroupNorm(8, 8),
}


@pytest.mark.parametrize("module", MODULES.values(), ids=MODULES.keys())
def test_followers_go_along(module: nn.Module) -> None:
    graph = proven(*of_images(module))
    assert graph["first"].exact and graph["first"].frozen is None
    assert {place.tensor.split(".")[0] for place in graph["first"].followers} >= {"inner"}


SEVERAL: dict[str, tuple[nn.Module, int, dict[str, int]]] = {
    "grouped": (nn.Conv2d(8, 12, 3, groups=4), 12, {"first/0": 4, "first/1": 2, "inner/1": 3}),
    "multiplier": (nn.Conv2d(8, 16, 3, groups=8), 16, {"first": 8, "inner/1": 2}),
    "transposed": (nn.ConvTranspose2d(8, 6, 2, stride=2), 6, {"first": 8, "inner": 6}),
    "grouped transposed": (nn.ConvTranspose2d(8, 6, 2, groups=2), 6, {"first/0": 2, "first/1": 4, "inner": 3}),
    "strided": (nn.Conv2d(8, 6, 3, stride=2, padding="valid"), 6, {"first": 8, "inner": 6}),
}


@pytest.mark.parametrize(("module", "into", "sizes"), SEVERAL.values(), ids=SEVERAL.keys())
def test_convolutions(module: nn.Module, into: int, sizes: dict[str, int]) -> None:
    graph = proven(*of_images(module, into))
    assert {axis.name: axis.size for axis in graph.sculptable} == sizes
    assert all(axis.exact for axis in graph.sculptable)


REARRANGED: dict[str, tuple[Callable[[Tensor], Tensor], int, list[int]]] = {
    "shuffle": (lambda x: x.view(2, 2, -1, 8, 8).transpose(1, 2).reshape(2, -1, 8, 8), 8, [4]),
    "pixel shuffle": (lambda x: F.pixel_shuffle(x, 2), 2, [2]),
    "pixel unshuffle": (lambda x: F.pixel_unshuffle(x, 2), 32, [8]),
    "cat with itself": (lambda x: torch.cat([x, -x], 1), 16, [8]),
    "chunk": (lambda x: x.chunk(2, 1)[0] * x.chunk(2, 1)[1], 4, [4]),
    "glu": (lambda x: F.glu(x, 1), 4, [4]),
    "repeat": (lambda x: x.repeat(1, 2, 1, 1), 16, [8]),
    "interleave": (lambda x: x.repeat_interleave(2, 1), 16, [8]),
    "stack": (lambda x: torch.stack([x, 2 * x], 1).flatten(1, 2), 16, [8]),
    "padded channels": (lambda x: F.pad(x, (0, 0, 0, 0, 2, 1)), 11, [8]),
}


@pytest.mark.parametrize(("body", "into", "sizes"), REARRANGED.values(), ids=REARRANGED.keys())
def test_channels_are_rearranged(body: Callable[[Tensor], Tensor], into: int, sizes: list[int]) -> None:
    graph = proven(*of_images(body, into))
    assert sorted(axis.size for axis in graph.sculptable) == sizes


MIXED: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "layer norm": (lambda x: F.layer_norm(x, (x.shape[-1],)), "layer_norm over it"),
    "rms norm": (lambda x: F.rms_norm(x, (x.shape[-1],)), "rms_norm over it"),
    "written out": (lambda x: x * (x.pow(2).mean(-1, keepdim=True) + 1).rsqrt(), "no weight is in proportion to"),
    "softmax": (lambda x: x.softmax(-1), "softmax over it"),
    "maximum": (lambda x: x - x.amax(-1, keepdim=True), "amax over it"),
    "norm": (lambda x: x / x.norm(dim=-1, keepdim=True), "over it"),
}


@pytest.mark.parametrize(("body", "why"), MIXED.values(), ids=MIXED.keys())
def test_what_sees_all_units_at_once_is_inexact(body: Callable[[Tensor], Tensor], why: str) -> None:
    (axis,) = proven(*of_rows(body)).sculptable
    assert why in (axis.inexact or "")


FROZEN: dict[str, tuple[Callable[[Tensor], Tensor], int, str]] = {
    "cumsum": (lambda x: x.cumsum(-1), 8, "cumsum along it"),
    "sort": (lambda x: x.sort(-1).values, 8, "sort along it"),
    "slice": (lambda x: x[..., 1:6], 5, "its size is written into the code"),
    "index": (lambda x: x[..., torch.tensor([3, 1])], 2, "indexed by position"),
    "select": (lambda x: x[..., 3:4] * 1, 1, "its size is written into the code"),
    "written size": (lambda x: x.reshape(-1, 8), 8, "its size is written into the code"),
    "triu": (lambda x: x.triu(), 8, "triu of it"),
}


@pytest.mark.parametrize(("body", "into", "why"), FROZEN.values(), ids=FROZEN.keys())
def test_what_depends_on_positions_is_frozen(body: Callable[[Tensor], Tensor], into: int, why: str) -> None:
    graph = proven(*of_rows(body, into))
    assert why in (graph["first"].frozen or "")


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_recurrent_layers(kind: type[nn.RNNBase], bidirectional: bool) -> None:
    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = kind(6, 4, num_layers=2, bidirectional=bidirectional, batch_first=True)
            self.head = nn.Linear(8 if bidirectional else 4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.rnn(x)[0])

    torch.manual_seed(0)
    (hidden,) = proven(Tagger().double().eval(), ROWS).sculptable
    assert hidden.size == 4 and hidden.exact


def test_weight_norm_works_and_spectral_norm_is_refused_by_name() -> None:
    torch.manual_seed(0)
    for wrap in (parametrizations.weight_norm, parametrizations.spectral_norm):
        net = nn.Sequential()
        net.add_module("first", wrap(nn.Linear(6, 8)))
        net.add_module("last", nn.Linear(8, 2))
        graph = proven(net.double().eval(), ROWS)
        frozen = " ".join(axis.frozen or "" for axis in graph)
        refused = wrap is parametrizations.spectral_norm
        assert [axis.size for axis in graph.sculptable] == ([] if refused else [8])
        assert ("spectral_norm of first" in frozen) is refused


def test_an_unknown_operation_freezes_what_it_touches_and_says_so() -> None:
    graph = proven(*of_rows(torch.linalg.svdvals, 5))
    assert "aten::linalg_svdvals" in (graph["first"].frozen or "")
    assert "netsculpt.graph.rule('aten::linalg_svdvals')" in (graph["first"].frozen or "")
    assert len(graph.unknown) == 1


@pytest.mark.parametrize(("item", "frozen"), [("1", {"0", "1"}), (("1", "inputs"), {"0"}), (("1", "outputs"), {"1"})])
def test_ignored_layers_protect_inputs_and_outputs_apart(item: Any, frozen: set[str]) -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 7), nn.Linear(7, 3)).double()
    graph = trace(net, ROWS, ignored_layers=[item])
    assert {axis.name for axis in graph if axis.frozen and "ignored_layers" in axis.frozen} == frozen
    assert graph.sculptable == tuple(axis for axis in graph if axis.name not in {*frozen, "2"})


def test_a_branch_on_values_cannot_be_traced() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(GraphError, match=r"Branch cannot be traced: .* no branch depends on the values of a tensor"):
        trace(Branch(), ROWS)


def test_the_model_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 3)).double()
    net[1].eval()
    modes, tensors = [m.training for m in net.modules()], list(net.parameters())
    attributes = [dict(vars(module)) for module in net.modules()]
    fast = torch.backends.mha.get_fastpath_enabled()
    trace(net, IMAGE)
    assert [m.training for m in net.modules()] == modes
    assert all(now is then for now, then in zip(net.parameters(), tensors, strict=True))
    assert [vars(module).keys() for module in net.modules()] == [each.keys() for each in attributes]
    assert net[0].out_channels == 4 and torch.backends.mha.get_fastpath_enabled() is fast
