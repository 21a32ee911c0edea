"""A transaction that was committed, and how it is taken back."""

from typing import Literal, TypeAlias

import torch

from netsculpt.edit.changes import Change
from netsculpt.edit.wrappers import forget_compiled
from netsculpt.errors import EditError

Undone: TypeAlias = Literal["exact", "merged"]


class Applied:
    """What ``Transaction.commit`` returns. It holds the tensors that were replaced, and so their memory."""

    def __init__(self, changes: list[Change]) -> None:
        self._changes = changes
        self._done = False

    @torch.no_grad()
    def undo(self) -> Undone:
        """Takes the transaction back. The old Parameter objects return in both of two ways, chosen for each tensor.

        *exact*: nothing was trained since in a replaced parameter and its slots (same tensor, same version, same
        bits), so the old tensors and slots are put back as they were.

        *merged*: training went on. Entries that survived keep their trained values: an old entry is the sum of its
        copies divided by the sum of their factors, so the mean of plain copies and the sum of copies whose factors
        sum to one. What the edit had added by given values (offsets of a split, a refit, folded constants) is taken
        off, so that only what was trained is kept. Entries that were removed return with the values and slots that
        they had; entries, layers and parameters that were added vanish. Slots and averages likewise, by the factors
        that they were carried with; step counters go on.

        Gradients computed since are carried back by the chain rule, which sums over copies, and count as neither.
        Layers that were removed and attributes return as they were in both ways.

        Returns:
            ``"exact"`` if everything was, else ``"merged"``.

        Raises:
            EditError: it was undone before, or something was edited again since: undo that first. Nothing is changed.
        """
        if self._done:
            raise EditError("the transaction was taken back already.")
        self._require_last()
        forget_compiled()
        exact = True
        while self._changes:
            exact = self._changes[-1].revert(keep=True) and exact
            self._changes.pop()
        self._done = True
        return "exact" if exact else "merged"

    def _require_last(self) -> None:
        seen = set()
        for change in reversed(self._changes):
            for place in change.places():
                where = (id(place.owner), place.key)
                if where not in seen and not change.stands(place.get()):
                    what = f"{type(place.owner).__name__}.{place.key}"
                    raise EditError(f"{what} was changed again after this transaction; undo that first.")
                seen.add(where)
