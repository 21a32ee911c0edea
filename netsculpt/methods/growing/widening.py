"""Growing wider by new units that need no tuning: what others do, behind the same interface."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

from netsculpt.choice import Limits, Option, Solver, choose
from netsculpt.edit import Plan, Widen
from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.measure import Statistics
from netsculpt.methods.growing.evenly import evenly, net2net, random_units
from netsculpt.methods.growing.groups import reason_against
from netsculpt.methods.growing.initial import NewUnits, gradmax, tiny
from netsculpt.methods.trial import tried

Init: TypeAlias = Literal["firefly", "gradmax", "tiny", "net2net", "random"]
AMPLITUDES: dict[str, tuple[float, ...]] = {"gradmax": (1.0,), "tiny": (1.0, 0.1, 1e-2, 1e-3, 1e-4)}  # that are tried
BIAS = 1e-3  # of GradMax's units where the activation has no slope at 0


def widened(
    stats: Statistics,
    limits: Limits,
    init: Init,
    most: Mapping[str, int],
    *,
    solver: Solver = "greedy",
    latency: Callable[[Mapping[str, int]], float] | None = None,
    seed: int = 0,
) -> Plan:
    """A plan of new units, or of copies, within the limits.

    Args:
        stats: of the model as it is.
        limits: of the model afterwards.
        init: "gradmax", "tiny", "net2net" or "random".
        most: axis name -> as many new units at most; axes that cannot have any are left out.
        solver: as in ``netsculpt.choice.choose``.
        latency: likewise.
        seed: of what is drawn.

    Raises:
        ArgumentError: no axis can have new units of this kind.
    """
    kind: Literal["split", "new"] = "split" if init == "net2net" else "new"
    reasons = {name: reason_against(stats.graph[name], kind) for name in most}
    able = {name: count for name, count in most.items() if reasons[name] is None}
    if init in ("net2net", "random"):
        _require(able, reasons, init)
        choice = evenly(stats.graph, able, limits, solver=solver, latency=latency)
        added = Counter(option.axis for option in choice.options)
        edits = net2net(stats, added, seed) if init == "net2net" else random_units(stats.graph, added, seed)
        return Plan.of(stats.graph, edits, predicted=0.0 if init == "random" else None)
    plans = [_made_plan(stats, limits, init, able, reasons, size, solver, latency, seed) for size in AMPLITUDES[init]]
    return plans[0] if len(plans) == 1 else min(plans, key=lambda plan: tried(stats, plan))


def _made_plan(
    stats: Statistics,
    limits: Limits,
    init: Init,
    able: Mapping[str, int],
    reasons: dict[str, str | None],
    amplitude: float,
    solver: Solver,
    latency: Callable[[Mapping[str, int]], float] | None,
    seed: int,
) -> Plan:
    """New units by GradMax or TINY where those work, the best of all axes."""
    found: dict[str, NewUnits] = {}
    for name, count in able.items():
        try:
            found[name] = _made(stats, name, count, init, amplitude, seed)
        except (MeasureError, ArgumentError) as error:
            reasons[name] = str(error)
    _require(found, reasons, init)
    gains = {name: (each.decrease if init == "tiny" else each.gains.square()) for name, each in found.items()}
    options = [Option(name, k, 1, -float(gain)) for name, each in gains.items() for k, gain in enumerate(each)]
    choice = choose([each for each in options if each.gain < 0], stats.graph, limits, solver=solver, latency=latency)
    added = Counter(option.axis for option in choice.options)
    edits = [
        Widen(name, count, init={tensor: rows[:count] for tensor, rows in found[name].slices.items()}, rest="zero")
        for name, count in added.items()
    ]
    lower = sum(float(gains[name][:count].sum()) for name, count in added.items())
    return Plan.of(stats.graph, edits, predicted=-amplitude * lower if init == "tiny" else None)


def _made(stats: Statistics, axis: str, count: int, init: Init, amplitude: float, seed: int) -> NewUnits:
    if init == "tiny":
        return tiny(stats, axis, count, amplitude=amplitude, seed=seed)
    try:
        return gradmax(stats, axis, count, seed=seed)
    except MeasureError:
        return gradmax(stats, axis, count, bias=BIAS, seed=seed)


def _require(found: Mapping[str, object], reasons: Mapping[str, str | None], init: Init) -> None:
    if not found:
        name, why = next(iter(reasons.items()), ("the model", "it has no axis that can grow"))
        raise ArgumentError(f"no axis can have new units by {init!r}; {name}: {why}")
