"""Which way to the ends of splitting matrices is cheaper: making the matrices, or multiplying with them.

For m units with d weights each, n positions and b batches, in operations:

    explicit    n m d²  (half of the products, by symmetry)  +  4/3 m d³  (reduction to tridiagonal form)
    products    k (4 n m d  (there and back)  +  2 k m d  (orthogonal to the vectors before)  +  b CALLS)

A way is as long as its operations at the rate that each kind reaches; only ratios of rates matter. They were measured
on one thread of a CPU at some 70 billion operations a second for the Gram matrices; `python -m bench.split` compares
what is chosen with the time that both ways take.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from netsculpt.measure import Statistics

Route: TypeAlias = Literal["explicit", "products"]

PRODUCTS = 10  # that Lanczos usually takes to a residual of a hundredth
GRAM, REDUCTION, PRODUCT, ORTHOGONAL = 1.0, 0.35, 1.2, 0.25  # rates relative to the Gram matrices'
CALLS = 2e7  # what starting the operations of one product of one batch costs, in as many of the Gram matrices'
BYTES = 1 << 30  # of explicit matrices at most


def cheapest(stats: Statistics, axis: str) -> Route:
    """The way that takes fewer operations, weighed by their rates; products where matrices would not fit."""
    unit = stats.units[axis]
    n, d = stats.positions(axis), stats.coordinates(axis).count
    if not unit.explicit or unit.size * d * d * 8 > BYTES:
        return "products"
    explicit, products = costs(n, unit.size, d, stats.batches)
    return "explicit" if explicit <= products else "products"


def costs(n: int, m: int, d: int, batches: int = 1) -> tuple[float, float]:
    """Weighed operations of both ways: (explicit, products)."""
    explicit = n * m * d * d / GRAM + 4 / 3 * m * d**3 / REDUCTION
    k = min(PRODUCTS, d)
    products = k * (4 * n * m * d / PRODUCT + 2 * k * m * d / ORTHOGONAL + batches * CALLS)
    return explicit, products
