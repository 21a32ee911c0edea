"""Which candidates are accepted: the best within the limits, of all axes and kinds together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from netsculpt.choice import Choice, Limits, Option, Solver, choose
from netsculpt.measure.ranks import first, together
from netsculpt.methods.growing.groups import Kind
from netsculpt.methods.growing.overlay import Gates, Overlay
from netsculpt.methods.growing.scores import Scores

FIRST = 1e12  # times what a candidate gains that is in already, so that it stays in; the greedy solver only sorts


def select(
    overlay: Overlay,
    scores: Scores,
    limits: Limits,
    *,
    solver: Solver = "greedy",
    latency: Callable[[Mapping[str, int]], float] | None = None,
    accepted: Gates | None = None,
    share: float = 1.0,
) -> tuple[dict[tuple[str, Kind], Tensor], Choice]:
    """Gates of the candidates that are accepted, and the choice that led to them.

    Args:
        overlay: the candidates.
        scores: of ``integrated``; what is not below 0 is never accepted.
        limits: of the model afterwards.
        solver: as in ``netsculpt.choice.choose``.
        latency: likewise.
        accepted: candidates that are in already and count against the limits.
        share: of the newly chosen candidates that are accepted, the best first.
    """
    before = overlay.off() if accepted is None else {key: gate.clone() for key, gate in accepted.items()}
    items: dict[Option, tuple[tuple[str, Kind], int]] = {}
    # The exact solver adds gains up and stops near the best sum: there it must be no more than all others together.
    most = FIRST if solver == "greedy" else sum(float(each.clamp(max=0).abs().sum()) for each in scores.values())
    inside = {key: gate.tolist() for key, gate in before.items()}
    for key, each in scores.items():
        for unit, score in enumerate(each.tolist()):
            gain = -most if inside[key][unit] else score
            if gain < 0:
                items[Option(key[0], (key[1], unit), 1, gain)] = key, unit
    whole = {name: overlay.graph[name].size for name in overlay.inserted}
    overlay.graph.resize(dict.fromkeys(whole, 0))  # a layer is there when one of its hidden units is
    try:
        choice = together(lambda: choose(items, overlay.graph, limits, solver=solver, latency=latency))
    finally:
        overlay.graph.resize(whole)
    new = [option for option in choice.options if not inside[items[option][0]][items[option][1]]]
    chosen = sorted(new, key=lambda option: option.gain)[: math.ceil(len(new) * share)]
    for option in chosen:
        key, unit = items[option]
        before[key][unit] = 1
    return {key: first(gate) for key, gate in before.items()}, choice  # ranks may have measured other latencies


def count(gates: Gates) -> int:
    """How many candidates are on."""
    return int(sum(float(torch.count_nonzero(gate)) for gate in gates.values()))
