"""Grown layers are computed in blocks, half of the work and of the memory, unless the model's code looks at them."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

import netsculpt as ns
from netsculpt.methods.growing import Tuning
from netsculpt.methods.growing.blocks import Blocks
from netsculpt.methods.growing.overlay import Overlay
from tests.methods.growing.nets import CLASSES, measured, randn

NEW = 3


class Products(TorchFunctionMode):
    """The shapes of the weights that inputs are multiplied by."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (F.conv2d, F.linear):
            self.shapes.append(tuple(args[1].shape[:2]))
        return func(*args, **(kwargs or {}))


def products(name: str) -> list[tuple[int, ...]]:
    _, stats = measured(name)
    overlay = Overlay(stats.model, stats.graph, new_units={axis.name: NEW for axis in stats.graph})
    with Products() as seen:
        overlay.run(stats.data[0].inputs, overlay.tensors())
    return seen.shapes


def test_no_product_is_with_a_whole_grown_weight() -> None:
    # Of m units two copies and K new ones: [2m + K, inputs there were], and [outputs there were, K new inputs].
    first = [(2 * 6 + NEW, 3)]
    second = [(2 * 5 + NEW, 6), (5, NEW)]
    assert products("convnet")[:3] == first + second
    mlp = [(2 * 5 + NEW, 6), (2 * 4 + NEW, 5), (4, NEW), (CLASSES, 4), (CLASSES, NEW)]
    assert products("mlp") == mlp


def test_linear_layers_that_attention_is_beside_are_in_blocks() -> None:
    shapes = products("transformer")
    assert shapes.count((2 * 12 + NEW, 8)) == 2  # of both layers, 12 hidden units that read 8 features
    assert shapes.count((8, NEW)) == 2


def test_grown_weights_are_not_kept_beside_the_blocks() -> None:
    m, k = 64, 32
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, m), nn.ReLU(), nn.Linear(m, m), nn.ReLU(), nn.Linear(m, CLASSES))
    graph = ns.trace(model, torch.randn(2, 8))
    overlay = Overlay(model, graph, new_units={"0": k, "2": k})
    held = io.BytesIO()
    torch.save(overlay.net, held)
    blocks = (2 * m + k) * (8 + 1) + (2 * m + k) * (m + 1) + m * k + CLASSES * (m + k + 1)
    assert held.tell() < 1.2 * 4 * blocks


class Reads(nn.Module):
    """Reads a layer's weight instead of asking the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(6, 5), nn.Linear(5, 4), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        hidden = F.linear(torch.tanh(self.a(x)), self.b.weight, self.b.bias)
        out = self.c(torch.tanh(hidden))
        assert isinstance(out, Tensor)
        return out


class Asks(Reads):
    """Goes another way where a layer is of another type."""

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.a(x))
        hidden = torch.tanh(self.b(hidden)) if isinstance(self.b, nn.Linear) else hidden[..., : self.b.bias.numel()]
        out = self.c(hidden)
        assert isinstance(out, Tensor)
        return out


@pytest.mark.parametrize("make", [Reads, Asks])
def test_code_that_looks_at_a_layer_finds_one(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model, x = make().double().eval(), randn(48, 6)
    labels = (x[:, :3].sum(1) * 2).long().clamp(-2, 1) % CLASSES
    sculptor = ns.Sculptor(model, x[:2])
    stats = sculptor.measure(list(zip(x.split(12), labels.split(12), strict=True)), F.cross_entropy, for_="grow")
    overlay = Overlay(model, stats.graph, new_units={"a": NEW, "b": NEW})
    assert not any(isinstance(each, Blocks) for each in overlay.net.modules())
    plan = ns.grow(stats, ns.Limits(units=5), tuning=Tuning(batches=12))
    done = sculptor.apply(plan)
    assert done.measured is not None and done.measured < 0
    assert done.measured == pytest.approx(plan.predicted, rel=1e-9)
