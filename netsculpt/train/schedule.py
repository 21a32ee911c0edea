"""When to grow: every so many epochs, when the loss stands still, or when new units would help; up to a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from netsculpt.arguments import is_count
from netsculpt.choice import Limits
from netsculpt.edit import Budget, Plan
from netsculpt.errors import ArgumentError
from netsculpt.measure import LossFn
from netsculpt.methods import grow, natural_gains, split
from netsculpt.train.sculptor import Applied, Sculptor

METHODS: dict[str, Callable[..., Plan]] = {"split": split, "grow": grow}


class GrowSchedule:
    """Grows a model between epochs of a plain training loop.

        schedule = GrowSchedule(sculptor, loader, loss_fn, budget=Budget(params="200%"), every=2, share=0.2)
        for epoch in range(epochs):
            train(model, optimizer)
            schedule.step(loss)

    Args:
        sculptor: of the model.
        loader: calibration batches.
        loss_fn: as for ``measure``.
        budget: how large the model may become, in the end; percentages are of the model at the start.
        every: epochs between two growths; None to grow when the loss stands still, or by ``gain``.
        patience: with ``every=None``: epochs without an improvement before the model grows.
        tolerance: the share of the loss that is an improvement.
        gain: with ``every=None``, instead of waiting for the loss: the model grows after an epoch where new units would
            add this share to what a natural gradient gains on some axis, ``netsculpt.natural_gains``. 1 is a start.
        share: the share of its parameters by which the model may grow at once.
        method: "split" for splitting steepest descent, "grow" for firefly descent.
        options: passed on to ``netsculpt.split`` or ``netsculpt.grow``.

    Raises:
        ArgumentError: a number makes no sense.
        BudgetError: the budget makes no sense.
    """

    def __init__(
        self,
        sculptor: Sculptor,
        loader: Iterable[Any],
        loss_fn: LossFn,
        *,
        budget: Budget,
        every: int | None = None,
        patience: int = 3,
        tolerance: float = 1e-3,
        gain: float | None = None,
        share: float = 0.3,
        method: Literal["split", "grow"] = "split",
        **options: Any,
    ) -> None:
        for name, value in (("every", every), ("patience", patience)):
            if value is not None and not is_count(value):
                raise ArgumentError(f"{name} must be a whole number of epochs above 0, not {value!r}")
        if method not in METHODS:
            raise ArgumentError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        if gain is not None and (every is not None or not gain > 0):
            raise ArgumentError(f"gain must be a share above 0, and every None with it, not {gain!r} and {every!r}")
        if not share > 0 or not 0 <= tolerance < 1:
            raise ArgumentError(f"share must be above 0 and tolerance in [0, 1), not {share!r} and {tolerance!r}")
        self._sculptor, self._loader, self._loss_fn = sculptor, loader, loss_fn
        if isinstance(budget.latency, str):
            raise ArgumentError(f"latency of a schedule's budget must be in seconds, not {budget.latency!r}")
        self._limits = budget.limits(sculptor.graph.cost())
        self._bounded = budget
        self._every, self._patience, self._tolerance, self._share = every, patience, tolerance, share
        self._gain = gain
        self._method: Literal["split", "grow"] = method
        self._options = options
        self._losses: list[float] = []
        self._since = 0
        self.grown: list[Applied] = []
        self.finished = False

    def step(self, loss: float | None = None) -> Applied | None:
        """After an epoch: grow if it is time to.

        Args:
            loss: of the epoch, for growth when it stands still.

        Returns:
            What growing did; None where it was not time, or nothing fits or helps any more.
        """
        self._since += 1
        if loss is not None:
            self._losses.append(float(loss))
        if self.finished or not self._is_time():
            return None
        self._since, self._losses = 0, []
        stats = self._sculptor.measure(self._loader, self._loss_fn, for_=self._method)
        plan = METHODS[self._method](stats, self._limits_now(), **self._options)
        if not len(plan):
            self.finished = True
            return None
        self.grown.append(self._sculptor.apply(plan))
        return self.grown[-1]

    def _is_time(self) -> bool:
        if self._every is not None:
            return self._since >= self._every
        if self._gain is not None:
            stats = self._sculptor.measure(self._loader, self._loss_fn, for_="grow")
            return max(each.relative for each in natural_gains(stats).values()) >= self._gain
        if not self._losses:
            raise ArgumentError("step needs the loss of the epoch where neither every nor gain is given")
        return stands_still(self._losses, self._patience, self._tolerance)

    def _limits_now(self) -> Limits:
        now = self._sculptor.graph.cost()
        most = int(now.params * (1 + self._share))
        params = most if self._bounded.params is None else min(most, self._limits.params)
        macs = None if self._bounded.macs is None else self._limits.macs
        macs = None if macs is None else max(macs, now.macs)
        return Limits([Budget(params=max(params, now.params), macs=macs, latency=self._bounded.latency)])


def stands_still(losses: list[float], patience: int, tolerance: float) -> bool:
    """Whether the best of the last ``patience`` losses is not better than the best before by a share ``tolerance``."""
    if len(losses) <= patience:
        return False
    before, lately = min(losses[:-patience]), min(losses[-patience:])
    return lately > before - abs(before) * tolerance
