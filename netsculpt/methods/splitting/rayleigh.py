"""The published fast route: descend on the Rayleigh quotient of every unit, one batch after the other.

It needs no more memory than one batch and one direction per unit. Lanczos on the same products is worth more in almost
every case: it takes 20 to 30 passes to a stated residual, while descent stops where it stands, above λ_min by an amount
that nobody knows. Descent is for calibration data so large that a few passes are all there can be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from netsculpt.errors import ArgumentError
from netsculpt.measure import Statistics
from netsculpt.measure.ranks import summed
from netsculpt.methods.splitting.spectra import Spectrum, multiply


def rayleigh(
    stats: Statistics,
    axes: Iterable[str] | None = None,
    *,
    ends: Literal["lowest", "both"] = "lowest",
    epochs: int = 4,
    lr: float = 0.5,
    decay: float = 0.5,
    seed: int = 0,
) -> dict[str, Spectrum]:
    """Approximate ends of the splitting matrices' spectra by stochastic descent on vᵀSv / vᵀv with RMSprop.

    Args:
        stats: of ``measure``; with ``max_bytes=0`` activations live for one batch only.
        axes: names; all measured ones by default.
        ends: ``"lowest"``, for positive splits, or ``"both"``, which takes twice the time; an end that was not asked
            for is given as zero with a zero vector.
        epochs: passes over the calibration data, before one more that measures.
        lr: learning rate of RMSprop, relative to a unit direction.
        decay: of the learning rate after every epoch.
        seed: of the directions at the start.

    Returns:
        axis -> spectrum, as ``spectra`` gives it. Values are the quotients of the final directions over all data, so
        they are never below λ_min nor above λ_max; residuals are measured.

    Raises:
        ArgumentError: a number makes no sense, or an axis was not measured.
        MeasureError: a product is not finite.

    Source: D. Wang, M. Li, L. Wu, V. Chandra, Q. Liu, "Energy-Aware Neural Architecture Optimization With Splitting
    Steepest Descent" (2019); its values were averages over an epoch in which directions still moved.
    """
    if isinstance(epochs, bool) or epochs < 1 or not lr > 0 or not 0 < decay <= 1:
        raise ArgumentError(
            f"epochs must be at least 1, lr above 0, decay in (0, 1], not {epochs!r}, {lr!r}, {decay!r}"
        )
    names = stats.measured(axes)
    found = {1: _descended(stats, names, 1, epochs, lr, decay, seed)}
    if ends == "both":
        found[-1] = _descended(stats, names, -1, epochs, lr, decay, seed)
    return {name: _spectrum(found, name, epochs + 1) for name in names}


def _descended(
    stats: Statistics, names: list[str], sign: int, epochs: int, lr: float, decay: float, seed: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Directions [m, d] and their products, for the lowest end (sign 1) or the highest (-1)."""
    directions = {name: _start(stats, name, seed) for name in names}
    optimizers = {name: torch.optim.RMSprop([v], lr / v.shape[1] ** 0.5, alpha=0.9) for name, v in directions.items()}
    for _ in range(epochs):
        for batch in stats.samples(names):
            for name, sample in batch.items():
                v = directions[name]
                with torch.no_grad():
                    v /= v.norm(dim=1, keepdim=True)
                product = sign * summed(sample.bend.product(stats.coordinates(name), v.detach()))
                slope = product - (v.detach() * product).sum(1, keepdim=True) * v.detach()
                # RMSprop forgets the scale of every entry; one scale per unit keeps the direction of descent.
                v.grad = slope / slope.norm(dim=1, keepdim=True).clamp(min=torch.finfo(v.dtype).tiny)
                optimizers[name].step()
        for optimizer in optimizers.values():
            optimizer.param_groups[0]["lr"] *= decay
    final = {name: torch.nn.functional.normalize(v.detach(), dim=1) for name, v in directions.items()}
    return {name: (final[name], product) for name, product in multiply(stats, final).items()}


def _start(stats: Statistics, name: str, seed: int) -> Tensor:
    coordinates = stats.coordinates(name)
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(stats.units[name].size, coordinates.count, generator=generator, dtype=torch.float64)
    like = coordinates.parameter(stats.units[name].weights[0].name)
    return torch.nn.functional.normalize(start, dim=1).to(like.device, like.dtype)


def _spectrum(found: dict[int, dict[str, tuple[Tensor, Tensor]]], name: str, passes: int) -> Spectrum:
    pairs = []
    for sign in (1, -1):
        v, product = found[sign][name] if sign in found else (torch.zeros_like(found[1][name][0]),) * 2
        value = (v * product).sum(1)
        pairs.append((value, v, (product - value[:, None] * v).norm(dim=1)))
    values, vectors, gaps = (torch.stack(each, 1) for each in zip(*pairs, strict=True))
    scale = values.abs().amax(1, keepdim=True).clamp(min=torch.finfo(values.dtype).tiny)
    return Spectrum(values, vectors, gaps / scale, "products", passes)
