"""What was done to a model: as data that is kept with it, and as changes that can be taken back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from netsculpt.edit.applied import Applied, Undone
from netsculpt.edit.wrappers import unwrapped
from netsculpt.errors import ArgumentError, EditError

ATTRIBUTE = "_netsculpt_history"


@dataclass
class Step:
    """One applied plan: its record, and how to take it back while the process that made it lives."""

    record: dict[str, Any]
    applied: Applied | None = None
    restore_graph: Callable[[], None] | None = None


@dataclass
class History:
    """The steps that made a model what it is; kept on the model, where copies and pickles carry the records alone."""

    steps: list[Step] = field(default_factory=list)

    @property
    def records(self) -> list[dict[str, Any]]:
        """Every step as data: axes with the old unit of each new one, shapes, attributes, layers."""
        return [step.record for step in self.steps]

    def __len__(self) -> int:
        return len(self.steps)

    def __deepcopy__(self, memo: dict[int, Any]) -> History:
        return History([Step(step.record) for step in self.steps])

    def __reduce__(self) -> tuple[Any, ...]:
        return (_from_records, (self.records,))


def history(model: nn.Module) -> History:
    """The history of a model, empty for one that was never edited. ``len`` of it is a mark for ``undo``."""
    return getattr(unwrapped(model), ATTRIBUTE, None) or History()


def remember(model: nn.Module, step: Step) -> None:
    """Add a step to the history of a model."""
    kept = history(model)
    kept.steps.append(step)
    setattr(unwrapped(model), ATTRIBUTE, kept)


def undo(model: nn.Module, to: int | None = None) -> Undone:
    """Take the last plan back, or all plans down to a mark: model, optimizers and averages as they were before.

    Args:
        model: edited in place before, in this process.
        to: how many steps to keep, as ``len(history(model))`` was at the mark; by default all but the last.

    Returns:
        "exact" where everything is bit for bit what it was, "merged" where training went on since and the trained
        values of what remains were kept; see ``Applied.undo``.

    Raises:
        EditError: there is nothing to take back, or the way back was not copied, saved or kept.
        ArgumentError: ``to`` is no mark.
    """
    kept = history(model)
    mark = len(kept) - 1 if to is None else to
    if not len(kept):
        raise EditError("there is nothing to undo: the model was not edited")
    if not 0 <= mark <= len(kept):
        raise ArgumentError(f"to must be a mark from 0 to {len(kept)}, not {to}")
    if any(step.applied is None for step in kept.steps[mark:]):
        raise EditError("this cannot be undone: the model was loaded or copied since, or its way back was forgotten")
    outcomes: list[Undone] = []
    while len(kept) > mark:
        step = kept.steps[-1]
        assert step.applied is not None
        outcomes.append(step.applied.undo())
        kept.steps.pop()
        if step.restore_graph is not None:
            step.restore_graph()
    if not len(kept):
        delattr(unwrapped(model), ATTRIBUTE)
    return "merged" if "merged" in outcomes else "exact"


def forget(model: nn.Module) -> None:
    """Give up undoing: frees what the edits replaced. The records stay, so the model can still be saved and loaded."""
    for step in history(model).steps:
        step.applied = step.restore_graph = None


def _from_records(records: list[dict[str, Any]]) -> History:
    return History([Step(record) for record in records])
