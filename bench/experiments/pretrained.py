"""Networks with the weights that packages carry, the pictures they read, and how alike two of them answer."""

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.experiments import sources
from bench.experiments.convnets import make
from bench.experiments.data import Images, idx
from bench.experiments.mobilenet import MobileNetV2


def digits(directory: Path | None = None) -> nn.Module:
    model = make("digits")
    model.load_state_dict(sources.weights(sources.DIGIT_WEIGHTS, directory))
    return model.eval()


def mobilenet(directory: Path | None = None) -> MobileNetV2:
    model = MobileNetV2()
    model.load_state_dict(sources.weights(sources.MOBILENET_WEIGHTS, directory))
    return model.eval()


def mnist(directory: Path | None = None, *, training: bool = False) -> Images:
    """MNIST's test (or training) pictures, scaled as the digit network reads them."""
    files = (sources.MNIST_PICTURES, sources.MNIST_LABELS)
    if training:
        files = (sources.MNIST_TRAIN_PICTURES, sources.MNIST_TRAIN_LABELS)
    pictures, labels = (idx(sources.find(each, directory).read_bytes()) for each in files)
    return Images(pictures.float().div(255).sub(0.1307).div(0.3081).unsqueeze(1), labels.long())


class Agreement(NamedTuple):
    """Share of equal first answers, mean KL from the first model's softmax, relative error of the features."""

    top1: float
    kl: float
    features: float | None


@torch.no_grad()
def agreement(
    original: MobileNetV2, other: MobileNetV2, crops: Tensor, batch: int = 16, *, compare_features: bool = True
) -> Agreement:
    """How alike both answer on [n, 3, h, w] ``crops``; features can be compared where there are as many."""
    same, kl, error, norm = 0, 0.0, 0.0, 0.0
    for part in crops.split(batch):
        features, others = original.embed(part), other.embed(part)
        answers, guesses = original.classifier(features), other.classifier(others)
        same += int((answers.argmax(1) == guesses.argmax(1)).sum())
        logs = guesses.log_softmax(1), answers.log_softmax(1)
        kl += float(F.kl_div(*logs, reduction="sum", log_target=True))
        if compare_features:
            error, norm = error + float((others - features).square().sum()), norm + float(features.square().sum())
    return Agreement(same / len(crops), kl / len(crops), (error / norm) ** 0.5 if compare_features else None)
