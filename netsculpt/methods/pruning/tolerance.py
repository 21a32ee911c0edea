"""How much worse a pruned network may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netsculpt.errors import ArgumentError
from netsculpt.measure import Statistics
from netsculpt.methods.pruning.refits import Fitted


@dataclass(frozen=True)
class Tolerance:
    """Upper bounds of what a pruned network loses on the calibration data; None for no bound.

    Attributes:
        loss: by how much the mean loss may rise.
        accuracy: what share of the examples it may get right less, 0.01 for one point; where targets are classes.
        discrepancy: how far its answers may be from the original ones: the Kullback-Leibler divergence where targets
            are classes, else the squared distance relative to the original's squares.
    """

    loss: float | None = None
    accuracy: float | None = None
    discrepancy: float | None = None

    def __post_init__(self) -> None:
        bounds = {name: value for name, value in vars(self).items() if value is not None}
        if not bounds:
            raise ArgumentError("a tolerance must bound loss, accuracy or discrepancy")
        for name, value in bounds.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
                raise ArgumentError(f"{name} of a tolerance must be a number, at least 0, not {value!r}")

    def allows(self, stats: Statistics, fitted: Fitted) -> bool:
        """Whether a pruned network is within the bounds.

        Raises:
            ArgumentError: accuracy is bounded, and targets are no classes.
        """
        if self.accuracy is not None and (stats.accuracy is None or fitted.accuracy is None):
            raise ArgumentError("accuracy of a tolerance needs int64 class labels as targets; bound the loss instead")
        lost = 0.0
        if stats.accuracy is not None and fitted.accuracy is not None:
            lost = stats.accuracy.right - fitted.accuracy.right
        pairs = ((self.loss, fitted.loss - stats.loss), (self.accuracy, lost), (self.discrepancy, fitted.discrepancy))
        return all(bound is None or value <= bound for bound, value in pairs)
