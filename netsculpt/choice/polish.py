"""Small improvements of a choice that is almost done."""

from __future__ import annotations

from netsculpt.choice.options import Step
from netsculpt.choice.problem import Move, Progress


def fill(progress: Progress) -> None:
    """Growing: take whatever still has a gain and fits, the best gain per unit first; rounded axes are left alone."""
    while True:
        steps = [step for step in _spare(progress) if progress.fits(progress.problem.axes[step.item], step.units)]
        if not steps:
            return
        step = min(steps, key=lambda step: (step.gain / step.units, step.item))
        progress.take(Move(progress.problem.axes[step.item], step.units, step.gain, (step,)))


def _spare(progress: Progress) -> list[Step]:
    """The best step of every axis and number of units from what the items have to an option not taken."""
    best: dict[tuple[int, int], Step] = {}
    problem = progress.problem
    for item, options in enumerate(problem.items):
        axis = problem.axes[item]
        before = progress.held.get(item)
        units, gain = (before.units, before.gain) if before is not None else (0, 0.0)
        for option in options if problem.multiples[axis] == 1 else ():
            key = axis, option.units - units
            better = option.gain - gain
            if better < 0 < key[1] and (key not in best or better < best[key].gain):
                best[key] = Step(item, option, before, key[1], better)
    return list(best.values())


def spare(progress: Progress) -> None:
    """Pruning: take back every move that is not needed to keep the bounds, the most harmful first."""
    while True:
        needless: dict[tuple[int, int], bool] = {}  # moves of one axis and number of units cost the same
        for number in _last_moves(progress):
            move = progress.moves[number]
            key = move.axis, move.units
            if key not in needless:
                needless[key] = _is_needless(progress, move)
            if needless[key]:
                progress.take_back(number)
                break
        else:
            return


def _last_moves(progress: Progress) -> list[int]:
    """Harmful moves that no later one is built on, by the same item, or on the same axis where sizes are rounded."""
    moves = progress.moves
    by_axis = {move.axis: number for number, move in enumerate(moves)}
    by_item = {step.item: number for number, move in enumerate(moves) for step in move.steps}
    rounded = [multiple > 1 for multiple in progress.problem.multiples]
    found = [
        number
        for number, move in enumerate(moves)
        if move.gain > 0
        and (by_axis[move.axis] == number or not rounded[move.axis])
        and all(by_item[step.item] == number for step in move.steps)
    ]
    return sorted(found, key=lambda number: (-moves[number].gain, -number))


def _is_needless(progress: Progress, move: Move) -> bool:
    pairs = zip(progress.problem.bounds, progress.after(move.axis, -move.units), strict=True)
    return all(value <= bound.high for bound, value in pairs)
