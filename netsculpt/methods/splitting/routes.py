"""Which way to the ends of splitting matrices is cheaper: making the matrices, or multiplying with them.

For m units with d weights each and n positions, in operations:

    explicit    n m d²  (half of the products, by symmetry)  +  4/3 m d³  (reduction to tridiagonal form)
    products    k (4 n m d  (there and back)  +  4 k m d / 2  (orthogonal to the vectors before))

A way is as long as its operations at the rate that each kind reaches; only ratios of rates matter. They were measured
on one thread of a CPU, where small matrices are decomposed many at a time in vector registers.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from netsculpt.measure import Statistics

Route: TypeAlias = Literal["explicit", "products"]

PRODUCTS = 20  # that Lanczos usually takes: 8 to 24 in a network of 16 convolutions, 40 to 62 in single wide layers
GRAM, REDUCTION, PRODUCT, ORTHOGONAL = 1.0, 0.35, 0.85, 0.25  # rates relative to the Gram matrices'
BYTES = 1 << 30  # of explicit matrices at most


def cheapest(stats: Statistics, axis: str) -> Route:
    """The way that takes fewer operations, weighed by their rates; products where matrices would not fit."""
    unit = stats.units[axis]
    n, d = stats.positions(axis), stats.coordinates(axis).count
    if not unit.explicit or unit.size * d * d * 8 > BYTES:
        return "products"
    explicit, products = costs(n, unit.size, d)
    return "explicit" if explicit <= products else "products"


def costs(n: int, m: int, d: int) -> tuple[float, float]:
    """Weighed operations of both ways: (explicit, products)."""
    explicit = n * m * d * d / GRAM + 4 / 3 * m * d**3 / REDUCTION
    k = min(PRODUCTS, d)
    products = k * (4 * n * m * d / PRODUCT + 2 * k * m * d / ORTHOGONAL)
    return explicit, products
