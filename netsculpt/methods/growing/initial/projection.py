"""The part of the gradient at a consumer's results that a change of its own weights can follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from netsculpt.errors import MeasureError
from netsculpt.measure.consumers import Read
from netsculpt.measure.producers import Producer
from netsculpt.measure.ranks import summed
from netsculpt.methods.growing.initial.playing import Played, working
from netsculpt.methods.growing.initial.shifted import SecondMoment, shiftable

CHUNK = 64 << 20  # bytes of patches at a time
LARGEST = 8192  # inputs of a consumer whose covariance is formed


class Update(NamedTuple):
    """The least-squares fit of the gradient at a weight's results by what it multiplies.

    Attributes:
        weight: like the weight.
        bias: of the outputs; None where the operations have no bias.
    """

    weight: Tensor
    bias: Tensor | None

    def response(self, operation: Producer, x: Tensor) -> Tensor:
        """What it gives: the fitted gradient."""
        bias = None if self.bias is None else self.bias.to(x.dtype)
        return operation.respond(x, self.weight.to(x.dtype), bias)


class Fit:
    """Σ b ⊗ b and Σ b ⊗ g of one weight, b its inputs with a 1 for the bias, g the gradients at its results.

    Raises:
        MeasureError: the weight has too many inputs.
    """

    def __init__(self, read: Read, weight: Tensor) -> None:
        self._read, self._weight = read, weight.detach()
        self._biased = read.operations[0].bias is not None
        size = weight.numel() // weight.shape[read.dim] + self._biased
        if size > LARGEST:
            raise MeasureError(
                f"{read.weight} has {size} inputs: the best update of more than {LARGEST} is not computed; "
                "use project=False"
            )
        self._inputs = weight.new_zeros(size, size, dtype=torch.float64)
        self._shifted: dict[str, SecondMoment] = {}
        self._cross = weight.new_zeros(size, weight.shape[read.dim], dtype=torch.float64)

    def add(self, batch: Played) -> None:
        """One batch."""
        for operation in self._read.operations:
            x, gradient = working(batch.values[operation.source]), working(batch.gradients[operation.node])
            weight, bias = operation.gather(x, gradient, self._weight.to(x.dtype), self._biased)
            rows = weight.movedim(operation.dim, 0).flatten(1)
            found = rows if bias is None else torch.cat([rows, bias[:, None]], 1)
            self._cross += found.T
            if shiftable(operation):
                self._shifted.setdefault(operation.node, SecondMoment(operation)).add(x)
                continue
            for part in x.split(operation.examples(x, CHUNK)):
                patches = operation.patches(part, self._biased)
                self._inputs += patches.T @ patches

    def solved(self) -> tuple[Tensor, Tensor]:
        """P with (Σ b ⊗ b) P = Σ b ⊗ g, of several the least, and Σ b ⊗ g: float64 [inputs, outputs], of all ranks."""
        for each in self._shifted.values():
            each.add_to(self._inputs)
        summed(self._inputs), summed(self._cross)
        return _least_squares(self._inputs, self._cross, self._weight.dtype), self._cross

    def update(self) -> Update:
        """Of all ranks; of several best ones the least."""
        solved = self.solved()[0].T
        bias = solved[:, -1] if self._biased else None
        rows = solved[:, :-1] if self._biased else solved
        shape = self._weight.movedim(self._read.dim, 0).shape
        return Update(rows.reshape(shape).movedim(0, self._read.dim), bias)


def _least_squares(inputs: Tensor, cross: Tensor, dtype: torch.dtype) -> Tensor:
    """The p for which inputs · p = cross; where several come as close as can be, the least."""
    factor, failed = torch.linalg.cholesky_ex(inputs)
    pivots = factor.diagonal().square()
    if not bool(failed) and float(pivots.min()) > _rounding(len(pivots), dtype) * float(pivots.max()):
        return torch.cholesky_solve(cross, factor)  # ten times as fast as eigenvectors
    root = pseudo_root(inputs, dtype)
    return root @ (root.T @ cross)


def _rounding(size: int, dtype: torch.dtype) -> float:
    """Up to what share of the largest eigenvalue rounding can make one of 0."""
    return size * torch.finfo(dtype).eps


def pseudo_root(matrix: Tensor, dtype: torch.dtype, rank: float | None = None, ridge: float = 0.0) -> Tensor:
    """R with R Rᵀ the pseudo-inverse of a positive semidefinite matrix: [d, r], one column per direction that counts.

    Args:
        matrix: float64 [d, d].
        dtype: in which its sums were made.
        rank: eigenvalues at most this share of the largest count for nothing; by default, what rounding makes of 0.
        ridge: is added to the eigenvalues, as a share of their mean.
    """
    values, vectors = torch.linalg.eigh(matrix)
    least = float(values[-1]) * (_rounding(len(values), dtype) if rank is None else rank)
    counts = values > max(least, 0.0)
    return vectors[:, counts] * (values[counts] + ridge * float(values.mean())).rsqrt()


def updates(batches: Iterable[Played], reads: Iterable[Read], state: Mapping[str, Tensor]) -> dict[str, Update]:
    """Weight -> its best update.

    Args:
        batches: the calibration data, with what the weights' operations take, and the gradients at what they give.
        reads: the weights.
        state: the model's parameters.

    Raises:
        MeasureError: a weight has too many inputs.
    """
    fits = {read.weight: Fit(read, state[read.weight]) for read in reads}
    for batch in batches:
        for fit in fits.values():
            fit.add(batch)
    return {name: fit.update() for name, fit in fits.items()}
