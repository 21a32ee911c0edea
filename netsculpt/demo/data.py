"""scikit-learn's digits: 1,797 grey 8×8 images of ten classes, in a fixed stratified split."""

from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.demo.optional import require

SPLIT_SEED = 0  # the split is part of the experiment: every run, whatever its seed, sees the same test images


class Part(NamedTuple):
    """``images`` [n, 1, 8, 8] float32, normalised with the training part's mean and deviation; ``labels`` [n]."""

    images: Tensor
    labels: Tensor


class Digits(NamedTuple):
    """60 % to train and calibrate on, 15 % that chose the hyper-parameters, 25 % for the final numbers only."""

    train: Part
    validation: Part
    test: Part


def load_digits() -> Digits:
    """The digits in their fixed split.

    Raises:
        MissingDependency: scikit-learn is not installed.
    """
    datasets = require("sklearn.datasets")
    split = require("sklearn.model_selection").train_test_split
    images, labels = datasets.load_digits(return_X_y=True)
    rest, test, rest_labels, test_labels = split(
        images, labels, test_size=0.25, stratify=labels, random_state=SPLIT_SEED
    )
    train, validation, train_labels, validation_labels = split(
        rest, rest_labels, test_size=0.2, stratify=rest_labels, random_state=SPLIT_SEED
    )
    mean, deviation = train.mean(), train.std()

    def part(pixels: object, classes: object) -> Part:
        image = (torch.as_tensor(pixels, dtype=torch.float64) - mean) / deviation
        return Part(image.float().view(-1, 1, 8, 8), torch.as_tensor(classes, dtype=torch.long))

    return Digits(part(train, train_labels), part(validation, validation_labels), part(test, test_labels))
