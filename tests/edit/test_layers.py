"""Layers as data: the class in torch.nn, its constructor's arguments, its state."""

import json

import pytest
import torch
from torch import Tensor, nn

from netsculpt.edit.layers import from_spec, to_spec
from netsculpt.errors import ArgumentError, EditError

LAYERS = [
    nn.Linear(4, 4, bias=False),
    nn.Conv2d(4, 4, 3, stride=1, padding=(1, 1), dilation=1, groups=2, padding_mode="reflect"),
    nn.Conv1d(4, 4, 3, padding="same"),
    nn.ConvTranspose2d(4, 4, 2, stride=2),
    nn.BatchNorm2d(4, eps=1e-3, momentum=None),
    nn.LayerNorm((4,), elementwise_affine=True),
    nn.GroupNorm(2, 4),
    nn.PReLU(4),
    nn.GELU(approximate="tanh"),
    nn.LeakyReLU(0.2, inplace=True),
    nn.Dropout(0.3),
    nn.AvgPool2d(2),
    nn.Identity(),
    nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Sequential(nn.LayerNorm(4))),
    nn.Linear(3, 2).to(torch.bfloat16),
]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_a_layer_comes_back_from_json(layer: nn.Module) -> None:
    again = from_spec(json.loads(json.dumps(to_spec(layer))))
    assert repr(again) == repr(layer)
    state = layer.state_dict()
    assert again.state_dict().keys() == state.keys()
    for name, tensor in again.state_dict().items():
        assert tensor.dtype == state[name].dtype
        assert torch.equal(tensor, state[name])


def test_without_state_the_shape_of_the_layer_is_kept() -> None:
    spec = to_spec(nn.Linear(4, 3), state=False)
    assert spec["state"] == {}
    assert repr(from_spec(spec)) == repr(nn.Linear(4, 3))


class Mine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize("layer", [Mine(), nn.Sequential(nn.ReLU(), Mine())], ids=["alone", "inside"])
def test_classes_of_ones_own_are_refused_by_name(layer: nn.Module) -> None:
    with pytest.raises(EditError, match=r"Mine is not a layer of torch\.nn"):
        to_spec(layer)


@pytest.mark.parametrize("spec", [{}, {"class": "Mine"}, {"class": "Parameter"}, {"class": "functional"}], ids=str)
def test_what_describes_no_layer(spec: dict[str, str]) -> None:
    with pytest.raises(ArgumentError, match=r"a layer must be of a class in torch\.nn"):
        from_spec(spec)
