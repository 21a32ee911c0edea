"""TINY: new units that answer what the existing weights cannot, where the loss asks for it.

Verbockhaven, Rudkiewicz, Chevallier, Charpiat, "Growing Tiny Networks: Spotting Expressivity Bottlenecks and Fixing
Them Optimally", TMLR 2024.
"""

from __future__ import annotations

import math

import torch

from netsculpt.errors import ArgumentError
from netsculpt.measure import Statistics
from netsculpt.methods.growing.initial.cross import cross
from netsculpt.methods.growing.initial.gradmax import require_zero
from netsculpt.methods.growing.initial.new_units import NewUnits, checked, drawn, filled, slices
from netsculpt.methods.growing.initial.places import Place, Use, place
from netsculpt.methods.growing.initial.projection import pseudo_root

STEP = 1e-9  # slopes at 0 are the mean of those on both sides of it: of a ReLU ½, as of what is like it and smooth


def tiny(
    stats: Statistics,
    axis: str,
    k: int,
    *,
    amplitude: float = 1.0,
    project: bool = True,
    rank: float | None = None,
    ridge: float = 0.0,
    seed: int = 0,
) -> NewUnits:
    """New units that lower the loss the most for the size of their answers.

    With N and S as in ``cross``, S^(-1/2) N = U diag(s) Vᵀ: the incoming weights are S^(-1/2) U √s, the outgoing ones
    -√s V, and both are scaled by the root of the amplitude.

    Args:
        stats: of the model as it is; its data are gone through twice per axis (once with ``project=False``), and what
            was found is kept.
        axis: name of the axis.
        k: number of units.
        amplitude: by which what they add to the consumers' results is scaled.
        project: whether N is made of what is left of the gradient after the best least-squares update of the
            consumers' own weights, the expressivity bottleneck.
        rank: directions in which the second moment S of what they are made of is at most this share of its largest
            count for nothing; by default what rounding makes of 0.
        ridge: is added to the eigenvalues of S, as a share of their mean.
        seed: of units beyond the rank of N, whose incoming weights are drawn and whose outgoing ones are 0.

    Returns:
        Slices; as gains s², what the loss would fall by per amplitude at first order, were its gradient the one that
        is left; the decrease has that of the loss itself, per amplitude. Both hold for slopes at 0: of a ReLU, ½.

    Raises:
        ArgumentError: an argument makes no sense.
        GraphError: there is no such axis.
        MeasureError: the units do not answer 0 to 0, or are made, pooled or used in a way that is not known, or a
            consumer has too many inputs for ``project``; the model has changed since it was measured.
    """
    axis = checked(stats, axis, k)
    for name, value, allowed in (
        ("amplitude", amplitude, amplitude > 0),
        ("ridge", ridge, ridge >= 0),
        ("rank", rank, rank is None or 0 <= rank < 1),
    ):
        if not allowed or (value is not None and not math.isfinite(value)):
            raise ArgumentError(f"{name} must be {WANTED[name]}, not {value!r}")
    where = place(stats, axis)
    sums = cross(stats, where, uses_at_zero(where), second=True, projected=project)
    wanted = sums.left if project else sums.cross
    assert sums.second is not None and wanted is not None
    root = pseudo_root(sums.second, where.dtype, rank, ridge)
    basis, values, vectors = torch.linalg.svd(root.T @ wanted, full_matrices=False)
    count = min(
        k, int((values > where.noise * (root.T @ sums.cross).norm()).sum())
    )  # nothing may be left but rounding errors
    roots = values[:count].sqrt()[:, None]
    incoming, out = roots * (root @ basis[:, :count]).T, -roots * vectors[:count]
    decrease = -((incoming @ sums.cross) * out).sum(1)
    size = math.sqrt(amplitude)
    incoming = torch.cat([size * incoming, drawn(stats, where, k - count, seed)])
    found = slices(stats, where, incoming, filled(size * out, k))
    return NewUnits(found, filled(values[:count].square(), k), filled(decrease, k))


WANTED = {"amplitude": "above 0", "ridge": "0 or above", "rank": "a share below 1, or None"}


def uses_at_zero(where: Place) -> tuple[Use, ...]:
    """All operations that use new units, with the mean slopes of both sides of 0.

    Raises:
        MeasureError: the units do not answer 0 to 0, or are used in a way that is not known.
    """
    require_zero(where.unit.axis, (response.value for response in where.body.responses().values()))
    sides = [where.uses(where.body.responses(start)) for start in (STEP, -STEP)]
    return tuple(
        above._replace(
            ways=tuple(
                one._replace(factor=(one.factor + other.factor) / 2)
                for one, other in zip(above.ways, below.ways, strict=True)
            )
        )
        for above, below in zip(*sides, strict=True)
    )
