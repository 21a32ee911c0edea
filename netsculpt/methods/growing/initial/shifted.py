"""The moments of pairs of convolutions without their patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.measure.producers import CONVOLUTIONS, Producer
from netsculpt.methods.growing.initial.lags import Lag, LagSum


def shiftable(producer: Producer, consumer: Producer | None = None) -> bool:
    """Whether the moments of a convolution, with another one behind it or with itself, can be made by shifts."""
    both = [producer] if consumer is None else [producer, consumer]
    known = all(each.kind in CONVOLUTIONS and not isinstance(each.options["padding"], str) for each in both)
    if not known or math.prod(producer.kernel) == 1:
        return False
    return consumer is not None or max(producer.options["stride"]) == 1


class Moment:
    """Sums up patch ⊗ gradient over all that a consumer's weights read of a producer's results.

    Args:
        producer: a convolution that makes units, without groups.
        consumer: a convolution that uses them, without groups.
    """

    def __init__(self, producer: Producer, consumer: Producer) -> None:
        self._producer, self._consumer = producer, consumer
        self._sums: dict[tuple[int, ...], LagSum] = {}
        self._bias: Tensor | None = None

    def add(self, x: Tensor, gradient: Tensor) -> None:
        """Some examples: [n, channels, …] what the producer takes, [n, outputs, …] at the consumer's results."""
        sizes = (*x.shape[2:], *gradient.shape[2:])
        if sizes not in self._sums:
            self._sums[sizes] = LagSum(self._lags(x, gradient))
        self._sums[sizes].add(x, gradient)
        if self._producer.bias is not None:
            bias = _weighted(gradient, self._lags(x, gradient))
            self._bias = bias if self._bias is None else self._bias + bias

    def add_to(self, totals: Sequence[Tensor], factor: float = 1.0) -> None:
        """Adds what was summed up, times a factor, to one total, or parts of the outputs to several.

        Args:
            totals: float64 [a row of the producer's weight, and its bias if it has one, outputs · places of the
                consumer's kernel], contiguous.
            factor: the factor.
        """
        for each in self._sums.values():
            found = each.total()  # one copy of large numbers less than if it were reshaped
            outputs = 1 + len(self._producer.kernel)
            for total, part in zip(totals, found.chunk(len(totals), outputs), strict=True):
                total[: len(total) - (self._bias is not None)].view(part.shape).add_(part, alpha=factor)
        if self._bias is not None:
            for total, part in zip(totals, self._bias.chunk(len(totals)), strict=True):
                total[-1] += factor * part.flatten()

    def _lags(self, x: Tensor, gradient: Tensor) -> list[Lag]:
        lags = []
        hidden = results(self._producer, x)
        along = zip(_along(self._producer), _along(self._consumer), hidden, gradient.shape[2:], strict=True)
        for one, other, size, entries in along:
            i, j = torch.arange(one.places), torch.arange(other.places)
            at = j[:, None] * other.dilation - other.padding + torch.arange(entries) * other.stride
            offsets = (j * other.dilation - other.padding) * one.stride + (i * one.dilation - one.padding)[:, None]
            lags.append(Lag(one.stride * other.stride, offsets, ((at >= 0) & (at < size)).double()))
        return lags


class SecondMoment:
    """Sums up patch ⊗ patch of a convolution of stride 1, without groups; with a 1 behind each patch for its bias."""

    def __init__(self, operation: Producer) -> None:
        self._operation = operation
        self._sums: dict[tuple[int, ...], LagSum] = {}
        self._bias: Tensor | None = None

    def add(self, x: Tensor, often: Sequence[Tensor] | None = None) -> None:
        """Some examples.

        Args:
            x: [n, channels, …], what the operation takes.
            often: for each dimension of its results [size], as ``read_often`` gives them for one consumer: a result
                counts as often as the product of these; once by default.
        """
        often = (
            [torch.ones(size, dtype=torch.float64) for size in results(self._operation, x)] if often is None else often
        )
        lags = self._lags(x, often)
        sizes = tuple(x.shape[2:])
        if sizes not in self._sums:
            self._sums[sizes] = LagSum(lags)
        self._sums[sizes].add(x, x)
        if self._operation.bias is not None:
            sums = _weighted(x, lags).flatten()
            count = len(x) * math.prod(float(weights.sum()) for weights in often)
            bias = torch.cat([sums, sums.new_full((1,), count)])
            self._bias = bias if self._bias is None else self._bias + bias

    def add_to(self, total: Tensor, factor: float = 1.0) -> None:
        """Adds what was summed up, times a factor, to a total: float64 [d, d], symmetric but for rounding."""
        rows = total if self._bias is None else total[:-1, :-1]
        for each in self._sums.values():
            found = each.total()
            rows.unflatten(1, found.shape[len(found.shape) // 2 :]).unflatten(
                0, found.shape[: len(found.shape) // 2]
            ).add_(found, alpha=factor)
        if self._bias is not None:
            total[-1] += factor * self._bias
            total[:-1, -1] += factor * self._bias[:-1]

    def _lags(self, x: Tensor, often: Sequence[Tensor]) -> list[Lag]:
        lags = []
        for one, size, weights in zip(_along(self._operation), x.shape[2:], often, strict=True):
            i = torch.arange(one.places)
            at = torch.arange(size) - i[:, None] * one.dilation + one.padding  # whose patch has this pixel there
            inside = (at >= 0) & (at < len(weights))
            own = torch.where(inside, weights[at.clamp(0, len(weights) - 1)], 0.0)
            lags.append(Lag(1, (i[:, None] - i) * one.dilation, own))
        return lags


def read_often(consumer: Producer, sizes: Sequence[int], entries: Sequence[int]) -> list[Tensor]:
    """How many places of the kernel read an entry, for each dimension: [size].

    Args:
        consumer: a convolution.
        sizes: of what it takes.
        entries: of its results.
    """
    found = []
    for one, size, count in zip(_along(consumer), sizes, entries, strict=True):
        at = torch.arange(one.places)[:, None] * one.dilation - one.padding + torch.arange(count) * one.stride
        found.append(torch.bincount(at[(at >= 0) & (at < size)], minlength=size).double())
    return found


def results(operation: Producer, x: Tensor) -> list[int]:
    """Sizes of what a convolution makes of x."""
    return [
        (size + 2 * one.padding - one.dilation * (one.places - 1) - 1) // one.stride + 1
        for one, size in zip(_along(operation), x.shape[2:], strict=True)
    ]


def _weighted(x: Tensor, lags: Sequence[Lag]) -> Tensor:
    """Σ over entries of x by the weights of every place: [channels, *places]."""
    found = x.sum(0).double()
    for lag in lags:
        found = torch.tensordot(found, lag.weights.T.to(found.device), dims=([1], [0]))
    return found


class _Along(NamedTuple):
    """A convolution along one dimension."""

    places: int
    stride: int
    padding: int
    dilation: int


def _along(operation: Producer) -> list[_Along]:
    options = [_each(operation.options[name], len(operation.kernel)) for name in ("stride", "padding", "dilation")]
    return [_Along(*each) for each in zip(operation.kernel, *options, strict=True)]


def _each(value: int | Sequence[int], spatial: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * spatial if len(values) == 1 else values
