"""Changes of what an optimizer trains: a parameter in another's place, one that joins, one that leaves."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from netsculpt.edit.changes import Change, reorder
from netsculpt.edit.optimizers import Rule, State, brought_back, home, initial_state, rekey, slots
from netsculpt.edit.tensors import Stamp


@dataclass
class SlotChange(Change):
    """One parameter in the place of another in an optimizer, with the state that was made for it."""

    optimizer: Optimizer
    old: Tensor
    new: Tensor
    state: State | None
    rule: Rule
    stamps: dict[str, Stamp] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.before: State | None = self.optimizer.state.get(self.old)

    def apply(self) -> None:
        """Swaps the parameter in its group, and its state."""
        self._swap(self.old, self.new, self.state)

    def seal(self) -> None:
        """Stamps the slots."""
        self.stamps = {name: Stamp(slot) for name, slot in slots(self.state or {})}

    def revert(self, keep: bool) -> bool:
        """Swaps both back."""
        now: State | None = self.optimizer.state.get(self.new)
        if not keep or self._untouched(now):
            self._swap(self.new, self.old, self.before)
            return True
        before = self.before or {}
        back = None if now is None else brought_back(self.optimizer, now, before, self.new, self.old, self.rule)
        self._swap(self.new, self.old, back)
        return False

    def _untouched(self, now: State | None) -> bool:
        if now is None or self.state is None:
            return now is self.state
        same = now is self.state and self.stamps.keys() == {name for name, _ in slots(now)}
        return same and all(stamp.matches(now[name]) for name, stamp in self.stamps.items())

    def _swap(self, old: Tensor, new: Tensor, state: State | None) -> None:
        found = home(self.optimizer, old)
        if found:
            found[0]["params"][found[1]] = new
        rekey(self.optimizer, old, new, state)


@dataclass
class Join(Change):
    """A new parameter at the end of a param group."""

    optimizer: Optimizer
    group: dict[str, Any]
    parameter: Tensor
    name: str

    def apply(self) -> None:
        """Joins the group, with the state that the optimizer expects before a first step."""
        _insert(self.group, len(self.group["params"]), self.parameter, self.name)
        state = initial_state(self.optimizer, self.group, self.parameter)
        if state is not None:
            self.optimizer.state[self.parameter] = state

    def revert(self, keep: bool) -> bool:
        """Leaves the group; what was trained in the parameter goes with it."""
        _remove(self.optimizer, self.parameter)
        self.optimizer.state.pop(self.parameter, None)
        return True


@dataclass
class Leave(Change):
    """A parameter that is no longer in the model leaves its param group, and its state with it."""

    optimizer: Optimizer
    parameter: Tensor

    def __post_init__(self) -> None:
        self.home = home(self.optimizer, self.parameter)
        self.name = self.home[0].get("param_names", {self.home[1]: ""})[self.home[1]] if self.home else ""
        self.order = list(self.optimizer.state)
        self.state: State | None = self.optimizer.state.get(self.parameter)

    def apply(self) -> None:
        """Leaves the group."""
        _remove(self.optimizer, self.parameter)
        self.optimizer.state.pop(self.parameter, None)

    def revert(self, keep: bool) -> bool:
        """Takes its old place again, with the state that it had."""
        if self.home and home(self.optimizer, self.parameter) is None:
            _insert(*self.home, self.parameter, self.name)
        if self.state is not None:
            self.optimizer.state[self.parameter] = self.state
            reorder(self.optimizer.state, self.order)
        return True


def _insert(group: dict[str, Any], at: int, parameter: Tensor, name: str) -> None:
    group["params"].insert(at, parameter)
    if "param_names" in group:
        group["param_names"].insert(at, name)


def _remove(optimizer: Optimizer, parameter: Tensor) -> None:
    found = home(optimizer, parameter)
    if found:
        group, at = found
        del group["params"][at]
        if "param_names" in group:
            del group["param_names"][at]
