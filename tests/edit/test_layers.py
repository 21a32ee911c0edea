"""Layers as data: what torch.nn shows in its attributes, and what it does not."""

from __future__ import annotations

import json
from collections import OrderedDict

import pytest
import torch
from torch import nn

from netsculpt.edit.layers import from_spec, to_spec
from netsculpt.errors import ArgumentError, EditError

IMAGE = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
LAYERS = [
    nn.Conv2d(4, 6, (3, 1), stride=(1, 2), padding="valid", dilation=2, groups=2, bias=False, padding_mode="reflect"),
    nn.Conv2d(4, 4, 3, padding="same"),
    nn.ConvTranspose2d(4, 2, 3, 2, output_padding=1),
    nn.BatchNorm2d(4, eps=1e-3, momentum=None, affine=False),
    nn.BatchNorm2d(4, track_running_stats=False),
    nn.GroupNorm(2, 4, eps=0.1),
    nn.LayerNorm((8, 8), bias=False),
    nn.InstanceNorm2d(4, affine=True),
    nn.Linear(8, 3, bias=False),
    nn.PReLU(4),
    nn.GELU("tanh"),
    nn.LeakyReLU(0.3, inplace=True),
    nn.Dropout(0.25),
    nn.Upsample(scale_factor=(2.0, 2.0), mode="bilinear", align_corners=True),
    nn.AdaptiveAvgPool2d((None, 2)),
    nn.MaxPool2d(2, ceil_mode=True),
    nn.Flatten(1, 2),
    nn.Identity(),
    nn.Sequential(OrderedDict(mix=nn.Conv2d(4, 4, 1), act=nn.Sequential(nn.ReLU(), nn.BatchNorm2d(4)))),
]


@pytest.mark.parametrize("layer", LAYERS, ids=[repr(layer).split("\n")[0] for layer in LAYERS])
def test_a_layer_comes_back_from_data(layer: nn.Module) -> None:
    again = from_spec(json.loads(json.dumps(to_spec(layer))))
    assert repr(again) == repr(layer)
    state = layer.state_dict()
    assert list(again.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())
    torch.manual_seed(0)
    expected = layer(IMAGE.clone())
    torch.manual_seed(0)
    assert torch.equal(again(IMAGE.clone()), expected)


@pytest.mark.parametrize("kind", [torch.float64, torch.bfloat16])
def test_precision_stays(kind: torch.dtype) -> None:
    layer = nn.BatchNorm2d(3).to(kind)
    again = from_spec(to_spec(layer))
    assert {name: tensor.dtype for name, tensor in again.state_dict().items()} == {
        name: tensor.dtype for name, tensor in layer.state_dict().items()
    }


def test_without_state_the_shapes_are_the_same() -> None:
    spec = to_spec(nn.Conv2d(4, 6, 3), state=False)
    assert spec["state"] == {}
    assert from_spec(spec).weight.shape == (6, 4, 3, 3)


def test_random_numbers_go_on_as_if_nothing_had_been_made() -> None:
    layer = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    generator = torch.get_rng_state()
    from_spec(to_spec(layer, state=False))
    assert torch.equal(torch.get_rng_state(), generator)


class Linear(nn.Module):
    """Not torch's."""


class Wider(nn.Linear):
    """Not torch's either."""


def normed() -> nn.Module:
    return nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (Linear(), r"Linear is not a layer of torch\.nn"),
        (Wider(2, 2), r"Wider is not a layer of torch\.nn"),
        (normed(), r"ParametrizedLinear is not a layer of torch\.nn"),
        (nn.Sequential(nn.ReLU(), Wider(2, 2)), r"Wider is not a layer of torch\.nn"),
        (nn.TransformerEncoderLayer(8, 2), "TransformerEncoderLayer does not show in its attributes how it was made"),
        (nn.MultiheadAttention(4, 2, add_bias_kv=True), "MultiheadAttention does not show in its attributes"),
        (nn.MultiheadAttention(4, 2, bias=False), "MultiheadAttention does not show in its attributes"),
    ],
)
@pytest.mark.parametrize("state", [True, False])
def test_what_cannot_be_described_is_refused(layer: nn.Module, said: str, state: bool) -> None:
    with pytest.raises(EditError, match=said):
        to_spec(layer, state)


@pytest.mark.parametrize("name", ["Parameter", "functional", "nowhere", "Module.forward", None])
def test_only_layers_are_made(name: str) -> None:
    with pytest.raises(ArgumentError, match="a layer must be of a class in torch"):
        from_spec({"class": name, "arguments": {}, "state": {}})
