"""What learning a task is asked for, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from netsculpt.arguments import is_number, require_count
from netsculpt.continual.growing import Bounds, Growth, Round, grow
from netsculpt.continual.training import MakeOptimizer, accuracy, fit
from netsculpt.continual.work import Work
from netsculpt.errors import ArgumentError
from netsculpt.measure import LossFn


class Learned(NamedTuple):
    """What learning a task came to.

    Attributes:
        name: of the task.
        accuracy: on the validation data, of the network that the task now has; None without such data.
        reused: its accuracy before any growth, with the units that were there and a head and norms of its own.
        reached: whether the accuracy is the goal's; None without a goal.
        rounds: of growth, in order.
        params: parameters of the pool's network before and after.
    """

    name: str
    accuracy: float | None
    reused: float | None
    reached: bool | None
    rounds: tuple[Round, ...]
    params: tuple[int, int]

    def __str__(self) -> str:
        told = [] if self.accuracy is None else [f"accuracy {self.accuracy:.2%} ({self.reused:.2%} by reuse alone)"]
        told += [str(each) for each in self.rounds]
        return f"{self.name}: {'; '.join([*told, f'pool {self.params[0]:,} → {self.params[1]:,} parameters'])}"


@dataclass(frozen=True)
class Order:
    """What ``Learner.learn`` was asked for; the attributes are its arguments.

    Raises:
        ArgumentError: a goal is no accuracy or comes without validation data, or another argument is of no such kind.
    """

    loader: Iterable[Any]
    loss_fn: LossFn
    validation: Iterable[Any] | None
    goal: float | None
    epochs: int
    optimizer: MakeOptimizer

    def __post_init__(self) -> None:
        for name in ("loader", "validation"):
            value = getattr(self, name)
            if not isinstance(value, Iterable) and not (value is None and name == "validation"):
                raise ArgumentError(f"{name} must hold batches, not {value!r}")
        for name in ("loss_fn", "optimizer"):
            if not callable(getattr(self, name)):
                raise ArgumentError(f"{name} must be a function, not {getattr(self, name)!r}")
        if self.goal is not None and not (is_number(self.goal) and 0 < self.goal <= 1):
            raise ArgumentError(f"goal must be an accuracy above 0 and at most 1, not {self.goal!r}")
        if self.goal is not None and self.validation is None:
            raise ArgumentError("validation must be given where there is a goal: batches that training does not see")
        require_count("epochs", self.epochs)

    def train(self, work: Work) -> None:
        """Train all that is private and all that no earlier task uses, in place."""
        fit(work.net, work.graph, work.frozen(), self.loader, self.loss_fn, self.optimizer, epochs=self.epochs)

    def accuracy(self, work: Work) -> float | None:
        """On the validation data; None without."""
        return None if self.validation is None else accuracy(work.net, work.graph, self.validation)

    def reached(self, score: float | None) -> bool:
        """Whether an accuracy is the goal's."""
        return self.goal is not None and score is not None and score >= self.goal

    def grow(self, work: Work, growth: Growth, bound: Bounds, seed: int, score: float | None) -> list[Round]:
        """Rounds of growth, each trained, until the goal is reached or nothing fits or helps."""
        rounds: list[Round] = []
        while len(rounds) < growth.rounds and not self.reached(score):
            left = growth.rounds - len(rounds)
            grown = grow(work, self.loader, self.loss_fn, growth, bound, seed * growth.rounds + len(rounds), left)
            if grown is None:
                break
            self.train(work)
            score = self.accuracy(work)
            rounds.append(grown._replace(accuracy=score))
        return rounds
