"""One task after the other, without forgetting any."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netsculpt.arguments import require_count, require_seed
from netsculpt.continual import files
from netsculpt.continual.growing import Growth, Round, bounds
from netsculpt.continual.order import Learned, Order
from netsculpt.continual.pool import Pool
from netsculpt.continual.sizes import Sizes, sizes_of
from netsculpt.continual.training import MakeOptimizer
from netsculpt.continual.unused import drop_unused
from netsculpt.continual.work import Work
from netsculpt.edit import Budget, save
from netsculpt.errors import ArgumentError
from netsculpt.measure import LossFn
from netsculpt.methods import Tolerance

ADAM: MakeOptimizer = partial(torch.optim.Adam, lr=1e-3)


class Learner:
    """A pool of units and the tasks that were learnt with it.

        learner = ns.continual.Learner(model, images[:2])
        learner.learn("digits", loader, loss_fn)
        learner.learn("letters", loader, loss_fn, classes=26, goal=0.95, validation=held_out)
        model = learner.task("digits")  # an ordinary module, which answers as it did before letters

    Args:
        model: copied; the network that the first task starts from.
        example_inputs: as for ``trace``.
        private: names of the modules that every task has for itself beside norms and buffers; by default the layers
            that make the model's outputs.

    Attributes:
        pool: the units, and what each task has of them.

    Raises:
        GraphError: the model cannot be traced.
        ArgumentError: ``private`` names no module, or is needed.
    """

    def __init__(self, model: nn.Module, example_inputs: Any, private: Iterable[str] | None = None) -> None:
        self.pool = Pool(model, example_inputs, private)

    @property
    def names(self) -> tuple[str, ...]:
        """The tasks, in the order in which they were learnt."""
        return tuple(self.pool.tasks)

    def learn(
        self,
        name: str,
        loader: Iterable[Any],
        loss_fn: LossFn,
        *,
        classes: int | None = None,
        goal: float | None = None,
        validation: Iterable[Any] | None = None,
        budget: Budget | None = None,
        epochs: int = 5,
        optimizer: MakeOptimizer = ADAM,
        growth: Growth | None = None,
        drop: Tolerance | None = None,
        seed: int = 0,
    ) -> Learned:
        """Learn a task. Networks of earlier tasks stay as they are to the bit; where learning fails, everything does.

        The first task trains the model as it was given. A later one starts with all units of the pool as they are, a
        new head, and norms of its own that start as they came with their units. Then, in rounds, until the goal is
        reached or the budget is used up: every unit gets a private change of its incoming weights and every axis new
        units, these are tuned while all else stays, and the best are kept: units with a change as private copies.

        Args:
            name: of the task.
            loader: batches, as for ``measure``, to be run through several times.
            loss_fn: of an answer and a target, a mean over examples.
            classes: outputs of the task's head; None for as many as the model has.
            goal: accuracy on the validation data at which growth ends, above 0 and at most 1.
            validation: batches that training does not see, with class targets; a goal needs them.
            budget: of the pool's network afterwards, percentages of what it is now; None for none but what ``growth``
                allows. Without budget and goal the pool is reused and does not grow.
            epochs: of training at first, and again after every round.
            optimizer: makes an optimizer of the parameters to train; its rate falls along half a cosine.
            growth: rounds and candidates.
            drop: leave units out of the task as long as no more than this is lost on ``loader``; None for all.
            seed: of the head's weights and of new units.

        Raises:
            ArgumentError: the task was learnt already, an argument makes no sense, or a loader has no batches.
            BudgetError: the budget makes no sense.
            MeasureError: the loss is not finite.
        """
        self._check(name, classes)
        require_seed(seed)
        if growth is not None and not isinstance(growth, Growth):
            raise ArgumentError(f"growth must be a Growth, such as Growth(rounds=2), or None, not {growth!r}")
        if drop is not None and not isinstance(drop, Tolerance):
            raise ArgumentError(f"drop must be a Tolerance, such as Tolerance(loss=0.1), or None, not {drop!r}")
        order = Order(loader, loss_fn, validation, goal, epochs, optimizer)
        before = self.pool.graph.cost()
        bound = bounds(budget, before)
        work = self._work(classes, seed)
        order.train(work)
        reused = score = order.accuracy(work)
        rounds: list[Round] = []
        if budget is not None or goal is not None:
            rounds = order.grow(work, growth or Growth(), bound, seed, reused)
            score = rounds[-1].accuracy if rounds else reused
        if drop is not None and drop_unused(work, loader, loss_fn, drop):
            order.train(work)
            score = order.accuracy(work)
        work.settle()
        self.pool.add(name, work.net, work.origin)
        params = before.params, self.pool.graph.cost().params
        return Learned(name, score, reused, None if goal is None else order.reached(score), tuple(rounds), params)

    def task(self, name: str) -> nn.Module:
        """The network of a task: an ordinary module of its own, in eval mode, as small as the units that it uses.

        Raises:
            ArgumentError: no such task was learnt.
        """
        return self.pool.task(name)

    def export(self, name: str, path: str | Path) -> None:
        """Write the network of a task to a file of its own, for ``netsculpt.load`` with what made the first model.

        Raises:
            ArgumentError: no such task was learnt.
            EditError: the file cannot be written.
        """
        save(self.task(name), path)

    def sizes(self) -> Sizes:
        """What the pool and the tasks take, against a network for every task."""
        return sizes_of(self.pool)

    def save(self, path: str | Path) -> None:
        """Write the pool and all tasks to one file, without pickled code.

        Raises:
            EditError: the file cannot be written.
        """
        files.write(self.pool, path)

    @classmethod
    def load(cls, build_fn: Callable[[], nn.Module], path: str | Path) -> Learner:
        """The learner that ``save`` wrote; it learns on.

        Args:
            build_fn: makes the model as it was given to the learner; its weights do not matter.
            path: of the file.

        Raises:
            ArgumentError: ``build_fn`` makes no module.
            EditError: the file is not there or not ours, or does not fit what ``build_fn`` makes.
        """
        found = cls.__new__(cls)
        found.pool = files.read(build_fn, path)
        return found

    def _work(self, classes: int | None, seed: int) -> Work:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return Work(self.pool, classes, fresh=bool(self.pool.tasks))

    def _check(self, name: object, classes: object) -> None:
        if not isinstance(name, str) or not name:
            raise ArgumentError(f"name of a task must be a string that is not empty, not {name!r}")
        if name in self.pool.tasks:
            raise ArgumentError(f"name must be that of a new task: {name!r} was learnt already")
        if classes is not None:
            require_count("classes", classes)
