"""The ends of every unit's splitting matrix: explicit where matrices are small, by products alone elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from netsculpt import ops
from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.measure import Statistics
from netsculpt.measure.ranks import summed
from netsculpt.methods.splitting.lanczos import Lanczos
from netsculpt.methods.splitting.routes import BYTES, Route, cheapest

TOL = {torch.float32: 1e-2, torch.float64: 1e-8}  # an eigenvalue is off by about the square of this


class Spectrum(NamedTuple):
    """The ends of the spectra of one axis's splitting matrices, lowest first.

    Attributes:
        values: [m, 2], change of the loss per squared length of an offset, times two.
        vectors: [m, 2, d], unit rows.
        residuals: [m, 2], ‖Sv - λv‖ relative to the larger |λ|.
        route: how they were found.
        products: how many products with S that took; 0 where S was made.
    """

    values: Tensor
    vectors: Tensor
    residuals: Tensor
    route: Route
    products: int


def spectra(
    stats: Statistics,
    axes: Iterable[str] | None = None,
    *,
    ends: Literal["lowest", "both"] = "both",
    tol: float | None = None,
    max_products: int = 100,
    max_bytes: int = BYTES,
    route: Route | None = None,
) -> dict[str, Spectrum]:
    """Extreme eigenpairs of the splitting matrices of all units, all axes in lock-step over the calibration data.

    Args:
        stats: of ``measure``.
        axes: names; all measured ones by default.
        ends: the ends that must converge; both are returned.
        tol: largest residual relative to the matrix's norm, by default 1e-2, or 1e-8 where the model is in float64; an
            eigenvalue is off by about its square.
        max_products: as many products with each matrix at most; what is not converged then says so by its residual.
        max_bytes: of the vectors that products leave behind, all axes together; where they are more, Lanczos begins
            anew from what it has, which takes more products. At least 4 vectors are kept of every unit.
        route: ``"explicit"`` or ``"products"`` for all axes; by default what is cheaper for each.

    Returns:
        axis -> spectrum.

    Raises:
        ArgumentError: an axis was not measured, or has no explicit matrices, or an argument makes no sense.
        MeasureError: a product is not finite.
    """
    if max_products < 1:
        raise ArgumentError(f"max_products must be above 0, not {max_products!r}")
    for argument, value, known in (
        ("ends", ends, ("lowest", "both")),
        ("route", route, (None, "explicit", "products")),
    ):
        if value not in known:
            raise ArgumentError(f"{argument} must be one of {', '.join(map(repr, known))}, not {value!r}")
    names = stats.measured(axes)
    routes = {name: route or cheapest(stats, name) for name in names}
    found = _explicit(stats, [name for name in names if routes[name] == "explicit"])
    found |= _by_products(
        stats, [name for name in names if routes[name] == "products"], ends, tol, max_products, max_bytes
    )
    return {name: found[name] for name in names}


def _explicit(stats: Statistics, names: list[str]) -> dict[str, Spectrum]:
    matrices: dict[str, Tensor] = {}
    for batch in stats.samples(names) if names else ():
        for name, sample in batch.items():
            pair = sample.rows()
            if pair is None:
                raise ArgumentError(f"the splitting matrices of {name!r} cannot be made; take their products")
            if name in matrices:
                ops.weighted_gram(*pair, out=matrices[name], accumulate=True)
            else:
                matrices[name] = ops.weighted_gram(*pair)
    return {name: _decomposed(name, summed(s)) for name, s in matrices.items()}


def _decomposed(name: str, s: Tensor) -> Spectrum:
    if not bool(s.isfinite().all()):
        raise MeasureError(f"the splitting matrices of {name!r} are not finite")
    pairs = ops.eigh_extreme(s)
    return Spectrum(pairs.values, pairs.vectors, pairs.residuals, "explicit", 0)


def _by_products(
    stats: Statistics,
    names: list[str],
    ends: Literal["lowest", "both"],
    tol: float | None,
    max_products: int,
    max_bytes: int,
) -> dict[str, Spectrum]:
    runs: dict[str, Lanczos] = {}
    numbers = sum(stats.coordinates(name).count * stats.units[name].size for name in names)
    vectors = max_bytes // max(1, 8 * numbers) - 1
    for name in names:
        coordinates = stats.coordinates(name)
        given = coordinates.parameter(stats.units[name].weights[0].name).dtype
        dtype = given if given in TOL else torch.float32  # vectors keep more than the model's half precision
        like = torch.empty(stats.units[name].size, coordinates.count, dtype=dtype, device=coordinates.device)
        runs[name] = Lanczos(like, ends, TOL.get(given, 1e-2) if tol is None else tol, max_products, vectors)
    while active := [name for name, run in runs.items() if not run.done]:
        products = multiply(stats, {name: runs[name].newest for name in active})
        for name, product in products.items():
            runs[name].take(product)
    return {name: Spectrum(*run.pairs(), "products", run.steps) for name, run in runs.items()}


def multiply(stats: Statistics, directions: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """S v for every unit of the named axes: axis -> [m, d], over all calibration data and ranks."""
    found: dict[str, Tensor] = {}
    for batch in stats.samples(directions):
        for name, sample in batch.items():
            bend = sample.bend
            with torch.no_grad():  # a product is linear in the weights: without this, autograd would keep its operands
                product = bend.product(stats.coordinates(name), directions[name]).to(directions[name].dtype)
            found[name] = found[name] + product if name in found else product
    for name, product in found.items():
        if not bool(summed(product).isfinite().all()):
            raise MeasureError(f"a product with the splitting matrices of {name!r} is not finite")
    return found
