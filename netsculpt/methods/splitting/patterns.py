"""How a unit is best split into two, three or four copies, by the ends of its splitting matrix's spectrum.

Copies have weights w with Σ w = 1 and Σ |w| ≤ c, and offsets of length up to the step that the weights cancel; the gain
is ½ Σ w δᵀSδ. With c = 1 all weights are positive. With p = (c + 1)/2, q = (c - 1)/2, r = q/p, the best of each kind:

    copies      weights            offsets / step                             gain / step²
    2 (+ +)     1/2, 1/2           ± v_min                                    ½ λ_min
    2 (+ -)     p, -q              r v_max, v_max                             -½ (c - 1)/(c + 1) λ_max
    3 (+ - -)   p, -q/2, -q/2      0, ± v_max                                 -(c - 1)/4 λ_max
    3 (+ + -)   p/2, p/2, -q       ± v_min, 0                                 (c + 1)/4 λ_min
            or                     r v_max ± √(1 - r²) v_min, v_max           ½ (p (1 - r²) λ_min - q (1 - r) λ_max)
    4 (++--)    p/2, p/2, -q/2 ×2  ± v_min, ± v_max                           (c + 1)/4 λ_min - (c - 1)/4 λ_max

Source: L. Wu, D. Wang, Q. Liu, "Splitting Steepest Descent" (2019) for the first; L. Wu, M. Ye, Q. Lei, J. Lee, Q. Liu,
"Steepest Descent Neural Architecture Optimization: Escaping Local Optimum with Signed Neural Splitting" (2020) for the
problem; the closed forms are derived, and tested against a constrained optimiser.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class Pattern(NamedTuple):
    """One way to split a unit.

    Attributes:
        weights: of the copies; they sum to 1.
        offsets: of each copy, as (share of v_min, share of v_max), in steps.
        gain: predicted change of the loss for a step of 1; below 0 where it helps.
    """

    weights: tuple[float, ...]
    offsets: tuple[tuple[float, float], ...]
    gain: float

    @property
    def copies(self) -> int:
        """The number of copies."""
        return len(self.weights)


def patterns(lowest: float, highest: float, c: float = 1.0) -> list[Pattern]:
    """The best pattern of each number of copies, fewest first, of those that lower the loss.

    Args:
        lowest: λ_min of the splitting matrix.
        highest: λ_max.
        c: bound of Σ |w|, at least 1; at 1 there are no negative weights.
    """
    p, q = (c + 1) / 2, (c - 1) / 2
    r = q / p
    found = [Pattern((0.5, 0.5), ((1, 0), (-1, 0)), lowest / 2)]
    if c > 1:
        found.append(Pattern((p, -q), ((0, r), (0, 1)), -q / p / 2 * highest))
        found.append(Pattern((p, -q / 2, -q / 2), ((0, 0), (0, 1), (0, -1)), -q / 2 * highest))
        found.append(Pattern((p / 2, p / 2, -q), ((1, 0), (-1, 0), (0, 0)), p / 2 * lowest))
        s = math.sqrt(1 - r * r)
        gain = (p * (1 - r * r) * lowest - q * (1 - r) * highest) / 2
        found.append(Pattern((p / 2, p / 2, -q), ((s, r), (-s, r), (0, 1)), gain))
    if c > 1 and lowest < 0 < highest:  # elsewhere three copies do as much
        offsets = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))
        found.append(Pattern((p / 2, p / 2, -q / 2, -q / 2), offsets, (p * lowest - q * highest) / 2))
    best: dict[int, Pattern] = {}
    for pattern in found:
        if pattern.gain < min(0.0, best[pattern.copies].gain if pattern.copies in best else 0.0):
            best[pattern.copies] = pattern
    return [best[copies] for copies in sorted(best)]
