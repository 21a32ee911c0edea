"""Inner products of what units add to a convolution, from the products of pictures with shifted pictures.

What a convolution of stride 1 multiplies with its weights at two places p and q of its kernel are two windows of the
same picture, so that their products depend on q - p alone, but for the pixels that lie in one window and not in the
other, at the border. A kernel of 3 × 3 has 81 pairs of places and 13 shifts, opposite ones being transposes: these are
summed, each over the whole picture, and what border pixels add too much for a pair is taken away.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.measure.consumers import Read, weight_matrix
from netsculpt.measure.producers import CONVOLUTIONS

CHUNK = 64 << 20  # bytes of pictures at a time
LEAST = 16  # units: with fewer it takes milliseconds either way, and this one has more small products
MOST = 256 << 20  # bytes of the sums of all shifts

Place = tuple[int, ...]


def shiftable(read: Read) -> bool:
    """Whether a ``ShiftSum`` can sum this up, and is the quickest way to it."""
    operation = read.operations[0]
    taps = math.prod(operation.kernel)
    if operation.kind not in CONVOLUTIONS or taps == 1 or isinstance(operation.options["padding"], str):
        return False
    size, places = read.columns.shape
    shifts = (math.prod(2 * k - 1 for k in operation.kernel) + 1) // 2
    small = 8 * shifts * read.groups * size**2 <= MOST
    return max(operation.options["stride"]) == 1 and places == taps and size >= LEAST and small


class _Extent(NamedTuple):
    """Along one dimension: what a window leaves out at its ends, for every place of the kernel."""

    size: int
    kernel: int
    padding: int
    dilation: int

    @property
    def out(self) -> int:
        return self.size + 2 * self.padding - self.dilation * (self.kernel - 1)

    def window(self, place: int) -> slice:
        """The pixels that this place of the kernel is multiplied with."""
        first = place * self.dilation - self.padding
        return slice(min(max(0, first), self.size), min(max(0, first + self.out), self.size))


class ShiftSum:
    """Sums up a ``Gram``, batch by batch, as ``GramSum`` does.

    Args:
        read: how the axis enters the weight; ``shiftable``.
        weight: the weight.
    """

    def __init__(self, read: Read, weight: Tensor) -> None:
        self._read = read
        operation = read.operations[0]
        taps = math.prod(operation.kernel)
        self._channels = (read.columns[:, 0] // taps).to(weight.device)
        # [places, groups, outputs, m]
        self._weights = weight_matrix(weight, read)[:, :, read.columns.to(weight.device)].movedim(3, 0).contiguous()
        places = list(itertools.product(*map(range, operation.kernel)))
        self._places = places
        self._pairs: dict[Place, list[tuple[int, int]]] = {}  # shift, in places of the kernel -> what it stands for
        for p, q in itertools.combinations_with_replacement(range(taps), 2):
            shift = tuple(b - a for a, b in zip(places[p], places[q], strict=True))
            self._pairs.setdefault(shift, []).append((p, q))
        size, groups = len(self._channels), read.groups
        self._sums = self._weights.new_zeros(len(self._pairs), groups, size, size)
        self._border = self._weights.new_zeros(size, size)
        self._means = self._weights.new_zeros(taps, groups, size)
        self._positions = 0

    def add(self, x: Tensor) -> None:
        """The inputs of one call of the operation."""
        options = self._read.operations[0].options
        spatial = [_spread(options[name], x.dim() - 2) for name in ("padding", "dilation")]
        kernel = self._read.operations[0].kernel
        extents = [_Extent(*each) for each in zip(x.shape[2:], kernel, *spatial, strict=True)]
        for part in x.split(max(1, CHUNK * len(x) // (8 * x.numel()))):
            self._positions += len(part) * math.prod(each.out for each in extents)
            for group, channels in enumerate(part.chunk(self._read.groups, 1)):
                self._add(group, channels[:, self._channels].movedim(1, -1).double().contiguous(), extents)

    def tensors(self) -> tuple[Tensor, ...]:
        """The sums so far, for all ranks to add up."""
        return self._sums, self._border, self._means

    def inner(self) -> Tensor:
        """Σ ⟨c_i, c_j⟩ of what was summed: [m, m]."""
        total = -self._border
        for sums, pairs in zip(self._sums, self._pairs.values(), strict=True):
            first, second = (
                self._weights[[pair[side] for pair in pairs]].movedim(1, 0).flatten(1, 2) for side in (0, 1)
            )
            total += _both((sums * (first.mT @ second)).sum(0), *pairs[0])
        return total

    def means(self) -> Tensor:
        """Σ c_i: [m, outputs]."""
        return (self._weights * self._means.unsqueeze(2)).sum(0).flatten(0, 1).T

    @property
    def positions(self) -> int:
        """Positions seen on this rank."""
        return self._positions

    def _add(self, group: int, pictures: Tensor, extents: Sequence[_Extent]) -> None:
        """Pictures: [n, *sizes, m]."""
        windows = [tuple(e.window(at) for e, at in zip(extents, place, strict=True)) for place in self._places]
        for place, window in enumerate(windows):
            self._means[place, group] += pictures[(slice(None), *window)].flatten(0, -2).sum(0)
        outside = [_outside(extents, window).to(pictures.device) for window in windows]
        strides = [math.prod(e.size for e in extents[dim + 1 :]) for dim in range(len(extents))]
        flat = pictures.flatten(1, -2)
        for number, (shift, pairs) in enumerate(self._pairs.items()):
            pixels = [step * e.dilation for step, e in zip(shift, extents, strict=True)]
            if any(abs(step) >= e.size for step, e in zip(pixels, extents, strict=True)):
                continue  # no pixel has a partner
            here, there = (_overlap(pictures, [sign * step for step in pixels]) for sign in (1, -1))
            self._sums[number, group].addmm_(here.T, there)
            partner = _partner(extents, pixels).to(pictures.device)
            offset = sum(step * stride for step, stride in zip(pixels, strides, strict=True))
            for p, q in pairs:
                extra = (outside[p] & partner).nonzero()[:, 0]
                if len(extra):
                    product = flat[:, extra].flatten(0, 1).T @ flat[:, extra + offset].flatten(0, 1)
                    self._border += _both(product.mul_(self._weights[p, group].T @ self._weights[q, group]), p, q)


def _both(product: Tensor, p: int, q: int) -> Tensor:
    """Of a pair of places and the same one turned around."""
    return product if p == q else product + product.T


def _overlap(pictures: Tensor, shift: Sequence[int]) -> Tensor:
    """The pixels whose partners, so far away, are in the picture: [n · pixels, m]."""
    inside = [slice(max(0, -step), size - max(0, step)) for step, size in zip(shift, pictures.shape[1:-1], strict=True)]
    return pictures[(slice(None), *inside)].flatten(0, -2)


def _partner(extents: Sequence[_Extent], shift: Sequence[int]) -> Tensor:
    """Whether the pixel so far away is in the picture, for every pixel: bool [pixels]."""
    found = torch.zeros([e.size for e in extents], dtype=torch.bool)
    found[tuple(slice(max(0, -step), e.size - max(0, step)) for step, e in zip(shift, extents, strict=True))] = True
    return found.flatten()


def _outside(extents: Sequence[_Extent], window: tuple[slice, ...]) -> Tensor:
    """Whether a pixel is in none of the patches at this place of the kernel: bool [pixels]."""
    found = torch.ones([e.size for e in extents], dtype=torch.bool)
    found[window] = False
    return found.flatten()


def _spread(value: int | Sequence[int], spatial: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * spatial if len(values) == 1 else values
