"""Consumers that are to do with fewer units, fitted so that they give what they gave.

Layer by layer in the order of the program, each from what the network, pruned so far, really feeds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from netsculpt.errors import MeasureError
from netsculpt.measure import Statistics
from netsculpt.measure.consumers import Constant, Read, reads_of, weight_like, weight_matrix
from netsculpt.measure.labels import Accuracy, right_of
from netsculpt.measure.playback import state_of
from netsculpt.measure.ranks import several, summed
from netsculpt.methods.pruning.curves import Choice
from netsculpt.methods.pruning.discrepancy import discrepancy, distance_of
from netsculpt.methods.pruning.moments import Data, Rows, Sums, best_ridge
from netsculpt.methods.pruning.streams import Streams

Refit: TypeAlias = Literal["none", "scale", "least_squares"]
Matching: TypeAlias = Literal["asymmetric", "symmetric"]

RIDGES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # of the mean variance of a consumer's inputs
CHUNK = 64 << 20  # bytes of patches at a time


@dataclass(frozen=True, eq=False)
class Fitted:
    """The new values of consumers, and what the network then does.

    Attributes:
        values: name of a parameter or buffer -> new values, shaped as it is now, zero where units are removed.
        loss: mean loss of the pruned network on the calibration data.
        accuracy: how often it is right there, where targets are classes.
        discrepancy: how far its answers are from the original ones, as ``discrepancy`` measures it for them.
        errors: consumer's weight -> ‖new - old result‖² relative to the old one's, less constants.
    """

    values: Mapping[str, Tensor] = field(repr=False)
    loss: float
    accuracy: Accuracy | None
    discrepancy: float
    errors: Mapping[str, float]


def fit(
    stats: Statistics,
    choices: Mapping[str, Choice],
    *,
    refit: Refit = "least_squares",
    matching: Matching = "asymmetric",
    ridge: float | None = None,
    held_out: int = 0,
) -> Fitted:
    """Fit the consumers of pruned axes, in the order of the program; a layer that is called often, to its first call.

    Args:
        stats: of ``measure``, of the model as it is.
        choices: axis -> the units that are kept.
        refit: ``"none"`` leaves the weights of kept units as they are; ``"scale"`` multiplies them by the choices'
            factors; ``"least_squares"`` gives the consumers the weights, on kept units, whose results are closest to
            the old ones. With the last two, constants go into biases or the running means of norms behind.
        matching: what is imitated: ``"asymmetric"``, the results of the network as it is; ``"symmetric"``, those that
            the consumer's old weights give on what the pruned network feeds it.
        ridge: pull towards the scaled weights, relative to the mean variance of the inputs; by default, consumer by
            consumer, what does best on one half of the data when fitted to the other.
        held_out: so many of the last batches are not fitted to, and the loss, accuracy and discrepancy are theirs.

    Raises:
        MeasureError: what is fitted is not finite.

    Source: the asymmetric form after M. El Halabi, S. Srinivas, S. Lacoste-Julien, "Data-Efficient Structured Pruning
    via Submodular Optimization" (2022).
    """
    run = _Fit(stats, choices, refit, matching, ridge, held_out)
    return run.run()


class _Fit:
    def __init__(
        self,
        stats: Statistics,
        choices: Mapping[str, Choice],
        refit: Refit,
        matching: Matching,
        ridge: float | None,
        held_out: int,
    ) -> None:
        self._stats, self._choices, self._refit, self._matching = stats, choices, refit, matching
        self._ridge, self._fitted_to = ridge, len(stats.data) - held_out
        self._state = state_of(stats.graph.program.exported)
        self._streams = Streams(stats)
        self._values: dict[str, Tensor] = {}
        self._errors: dict[str, float] = {}

    def run(self) -> Fitted:
        reads = reads_of({axis: self._stats.consumers[axis] for axis in self._choices})
        first = {
            next(iter(by_axis.values())).operations[0].node: partial(self._consumer, by_axis)
            for by_axis in reads.values()
        }
        self._streams.run(first)
        return self._outcome()

    def _outcome(self) -> Fitted:
        distance, chance = distance_of(self._stats), None
        sums = torch.zeros(3, dtype=torch.float64)
        outputs = list(self._streams.outputs())
        outputs = outputs[self._fitted_to % len(outputs) :]
        seen = float(summed(torch.tensor(sum(share for *_, share in outputs), dtype=torch.float64)))
        for original, answer, target, share in outputs:
            right = right_of(answer, target)
            if right is not None:
                chance = 1 / right[1]
                sums[2] += right[0] / self._stats.examples
            sums[0] += float(self._stats.loss_fn(answer, target)) * share
            sums[1] += float(discrepancy(distance, original, answer)) * share
        loss, far, right_share = (summed(sums) / seen).tolist()
        accuracy = None if chance is None else Accuracy(right_share, chance)
        return Fitted(self._values, loss, accuracy, far, self._errors)

    def _consumer(self, by_axis: Mapping[str, Read]) -> None:
        """Give one consumer its new weight."""
        read = next(iter(by_axis.values()))
        weight = self._state[read.weight].detach()
        old = weight_matrix(weight, read)
        factors = self._factors(by_axis, old.shape[2]).to(old)
        new = old * factors.nan_to_num(0.0)
        if self._refit != "none":
            kept = (~factors.isnan()).nonzero()[:, 0]
            centred = read.constant is not None
            halves = self._data(read, old, kept)
            moments, weights = halves[0].joint([each for each in halves[1:] if each.count], centred), new[:, :, kept]
            if self._refit == "least_squares":
                ridge = best_ridge(halves, weights, RIDGES, centred) if self._ridge is None else self._ridge
                weights = new[:, :, kept] = moments.solution(weights, ridge)
            self._errors[read.weight] = moments.error(weights)
            if read.constant is not None:
                self._shift(read.constant, moments.constant(weights).flatten())
        if not bool(new.isfinite().all()):
            raise MeasureError(f"the weights fitted for {read.weight} are not finite")
        self._set(read.weight, weight_like(new, weight, read).to(weight.dtype))

    def _factors(self, by_axis: Mapping[str, Read], columns: int) -> Tensor:
        """By column of the weight: what it is multiplied with to begin with; NaN where it goes."""
        found = torch.ones(columns, dtype=torch.float64)
        for axis, read in by_axis.items():
            choice = self._choices[axis]
            own = torch.ones_like(found)
            own[read.columns] = torch.nan
            scales = torch.ones_like(choice.scales) if self._refit == "none" else choice.scales
            own[read.columns[choice.units]] = scales.to(found)[:, None]
            found *= own  # a column may belong to two axes, such as a group's and a channel's within all groups
        return found

    def _data(self, read: Read, old: Tensor, kept: Tensor) -> Sequence[Data]:
        """Two halves of the data, the first and the second examples of every batch."""
        (operation, *_) = read.operations
        positions = sum(result.numel() for result, _ in self._streams.pairs(operation.source, operation.node))
        few = positions // (len(old) * old.shape[1]) < len(kept) and not several()
        halves: list[Data] = [Rows() if few else Sums(len(old), old.shape[1], len(kept), old.device) for _ in range(2)]
        bias = None if operation.bias is None else self._state[operation.bias].detach().double()
        for result, fed in islice(self._streams.pairs(operation.source, operation.node), self._fitted_to):
            size = max(1, min(operation.examples(fed, CHUNK), len(fed) // 2))
            for number, (x, y) in enumerate(zip(fed.split(size), result.split(size), strict=True)):
                rows = torch.stack(operation.patches(x, False).double().chunk(read.groups, 1))
                if self._matching == "symmetric":
                    wanted = rows @ old.mT
                else:
                    flat = y.movedim(operation.channel, -1).flatten(0, -2).double()
                    wanted = torch.stack((flat if bias is None else flat - bias).chunk(read.groups, 1))
                halves[2 * number * size >= len(fed)].add(rows[:, :, kept], wanted)
        return [half.all_ranks() if isinstance(half, Sums) else half for half in halves]

    def _shift(self, constant: Constant, by: Tensor) -> None:
        tensor = self._state[constant.tensor].detach()
        self._set(constant.tensor, (tensor.double() + constant.sign * by).to(tensor.dtype))

    def _set(self, name: str, value: Tensor) -> None:
        self._values[name] = value
        self._streams.replace(name, value)
