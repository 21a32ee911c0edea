"""A plan: edits as data, with what they cost and what they promise."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netsculpt.edit.assigning import assigned
from netsculpt.edit.drafts import Draft, draft
from netsculpt.edit.edits import KINDS, Assign, Edit, InsertLayer, Prune, RemoveLayer, Split, Widen, from_data, to_data
from netsculpt.errors import ArgumentError
from netsculpt.graph import Graph
from netsculpt.graph.costs import Cost

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Plan:
    """What to do to a model, made before anything is done. ``print`` shows it; ``to_json`` and ``from_json`` keep it.

    Attributes:
        edits: all of them at once, in the coordinates of the model before the plan; layers are inserted and removed
            after axes have changed.
        before: parameters and multiply-accumulates of the model, where the plan was made with ``Plan.of``.
        after: the same when the edits of axes are made; inserted and removed layers are not counted.
        inexact: what of it does not preserve the function, in sentences.
        predicted: predicted change of the loss, by the method that made the plan.
    """

    edits: tuple[Edit, ...]
    before: Cost | None = None
    after: Cost | None = None
    inexact: tuple[str, ...] = ()
    predicted: float | None = None

    def __post_init__(self) -> None:
        kinds = tuple(KINDS.values())
        edits = tuple(self.edits) if isinstance(self.edits, Iterable) else (self.edits,)
        for edit in edits:
            if not isinstance(edit, kinds):
                raise ArgumentError(f"a plan is made of {', '.join(kind.__name__ for kind in kinds)}, not {edit!r}")
        object.__setattr__(self, "edits", edits)
        if self.predicted is not None and not math.isfinite(self.predicted):
            raise ArgumentError(f"predicted must be a finite change of the loss or None, not {self.predicted!r}")

    @classmethod
    def of(cls, graph: Graph, edits: Iterable[Edit], predicted: float | None = None) -> Plan:
        """A plan with its cost and its promises, checked against the graph.

        Raises:
            GraphError: an axis is not there or frozen.
            ArgumentError: edits contradict each other or the axes, or name a tensor that is not there.
            ShapeError: values have another shape than their tensor.
        """
        plan = cls(tuple(edits))
        drafts = plan.drafts(graph)
        assigned(plan.edits, graph)  # refuses what cannot be
        graph.rearrangement({name: each.change for name, each in drafts.items()})  # refuses what cannot be
        sizes = {name: len(each.change.units) for name, each in drafts.items()}
        return cls(plan.edits, graph.cost(), graph.cost(sizes), plan.changes(drafts), predicted)

    def drafts(self, graph: Graph) -> dict[str, Draft]:
        """What becomes of every axis: name -> draft."""
        by_axis: dict[str, list[Prune | Split | Widen]] = {}
        for edit in self.edits:
            if isinstance(edit, (Prune, Split, Widen)):
                by_axis.setdefault(edit.axis, []).append(edit)
        return {name: draft(graph[name], edits) for name, edits in by_axis.items()}

    def changes(self, drafts: Mapping[str, Draft]) -> tuple[str, ...]:
        """What of it does not preserve the function, but for silenced and scaled units, in sentences."""
        copied = {edit.axis for edit in self.edits if isinstance(edit, Split)}
        notes = [note for name, each in drafts.items() for note in _notes(each, name in copied)]
        for edit in self.edits:
            if isinstance(edit, RemoveLayer) or (isinstance(edit, InsertLayer) and not edit.exact):
                notes.append(f"{edit} is not the identity")
            if isinstance(edit, Assign):
                notes.append(f"{edit.tensor} gets new values")
        return tuple(notes)

    def __len__(self) -> int:
        return len(self.edits)

    def __str__(self) -> str:
        lines = [str(edit) for edit in self.edits]
        if self.before is not None and self.after is not None:
            names = ("parameters", "multiply-accumulates")
            changes = zip(names, self.before, self.after, strict=True)
            lines.append("; ".join(f"{name} {old:,} → {new:,} ({_change(old, new)})" for name, old, new in changes))
        if self.predicted is not None:
            lines.append(f"predicted change of the loss {self.predicted:+.3g}")
        lines.extend(f"not exact: {note}" for note in self.inexact)
        return "\n".join(lines)

    def to_json(self) -> str:
        """The plan as JSON text.

        Raises:
            EditError: an inserted layer cannot be described by its constructor's arguments.
        """
        data: dict[str, Any] = {"netsculpt_plan": FORMAT, "edits": [to_data(edit) for edit in self.edits]}
        for name in ("before", "after"):
            cost = getattr(self, name)
            data[name] = None if cost is None else cost._asdict()
        return json.dumps({**data, "inexact": list(self.inexact), "predicted": self.predicted})

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that ``to_json`` wrote.

        Raises:
            ArgumentError: the text is no such plan.
        """
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ArgumentError(f"a plan must be JSON: {error}") from None
        if not isinstance(data, Mapping) or data.get("netsculpt_plan") != FORMAT:
            raise ArgumentError(f"a plan must say netsculpt_plan: {FORMAT}")
        try:
            edits = tuple(from_data(each) for each in data["edits"])
            before, after = (Cost(**data[name]) if data.get(name) else None for name in ("before", "after"))
            return cls(edits, before, after, tuple(data.get("inexact", ())), data.get("predicted"))
        except (KeyError, TypeError, AttributeError) as error:
            raise ArgumentError(f"a plan must be as Plan.to_json wrote it: {type(error).__name__}: {error}") from None


def _change(old: int, new: int) -> str:
    return f"{100 * (new - old) / old:+.1f} %" if old else "-"


def _notes(each: Draft, copied: bool) -> Iterator[str]:
    axis = each.axis
    if axis.inexact is not None:
        yield f"{axis.name}: {axis.inexact}"
    elif copied and axis.uncopyable is not None:
        yield f"{axis.name}, copied: {axis.uncopyable}"
    if not each.preserving:
        yield f"{axis.name}: the plan gives values to weights of copied or new units"
