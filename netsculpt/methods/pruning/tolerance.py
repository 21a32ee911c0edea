"""How much worse a pruned network may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from netsculpt.errors import ArgumentError
from netsculpt.methods.pruning.refits import Fitted


@dataclass(frozen=True)
class Tolerance:
    """Upper bounds of what a pruned network loses on the calibration data; None for no bound.

    Of several batches the second half judges what is fitted to the first: what is fitted to flatters itself.

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

    def allows(self, original: Fitted, pruned: Fitted) -> bool:
        """Whether a pruned network is within the bounds, from what both came to on the same data.

        Raises:
            ArgumentError: accuracy is bounded, and targets are no classes.
        """
        lost = 0.0
        if original.accuracy is not None and pruned.accuracy is not None:
            lost = original.accuracy.right - pruned.accuracy.right
        elif self.accuracy is not None:
            raise ArgumentError("accuracy of a tolerance needs int64 class labels as targets; bound the loss instead")
        worse = pruned.loss - original.loss
        pairs = ((self.loss, worse), (self.accuracy, lost), (self.discrepancy, pruned.discrepancy))
        return all(bound is None or value <= bound for bound, value in pairs)
