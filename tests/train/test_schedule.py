"""GrowSchedule grows when it should, within its budget, in a plain loop."""

from typing import Any

import pytest
from torch import optim
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, BudgetError
from netsculpt.measure import measure
from netsculpt.train.schedule import stands_still
from tests.measure.networks import Case, case


def started(budget: ns.Budget, **options: Any) -> tuple[Case, ns.GrowSchedule, optim.Optimizer]:
    subject = case("VitMlp", examples=24)
    optimizer = optim.SGD(subject.model.parameters(), lr=0.05, momentum=0.9)
    sculptor = ns.Sculptor(subject.model, subject.x, optimizer)
    loader = list(zip(subject.x.split(16), subject.y.split(16), strict=True))
    return subject, ns.GrowSchedule(sculptor, loader, F.cross_entropy, budget=budget, **options), optimizer


def size(subject: Case) -> int:
    return sum(each.numel() for each in subject.model.parameters())


def epoch(subject: Case, optimizer: optim.Optimizer) -> float:
    optimizer.zero_grad()
    loss = F.cross_entropy(subject.model(subject.x), subject.y)
    loss.backward()
    optimizer.step()
    return loss.item()


def test_a_plain_loop_grows_every_other_epoch_within_its_budget() -> None:
    subject, schedule, optimizer = started(ns.Budget(params="180%"), every=2, share=0.3, step=0.02)
    start = now = size(subject)
    grew = []
    for number in range(1, 13):
        loss = epoch(subject, optimizer)
        done = schedule.step(loss)
        grew += [number] if done else []
        if done:
            assert number % 2 == 0
            assert now < size(subject) <= 1.3 * now
            assert done.before.params == now and done.after.params == size(subject)
            assert done.measured == pytest.approx(done.predicted, rel=0.1)
        now = size(subject)
    assert grew[0] == 2 and len(grew) == len(schedule.grown) >= 2
    assert schedule.finished
    assert 1.5 * start < now <= 1.8 * start
    assert schedule.step(0.0) is None


def test_it_grows_when_the_loss_stands_still() -> None:
    _, schedule, _ = started(ns.Budget(params="200%"), patience=2, tolerance=0.01, step=0.02)
    answers = [schedule.step(loss) for loss in (1.0, 0.9, 0.8, 0.799, 0.798)]
    assert [answer is not None for answer in answers] == [False, False, False, False, True]
    assert [schedule.step(loss) is not None for loss in (0.79, 0.79)] == [False, False]  # it counts anew
    assert schedule.step(0.79) is not None


def test_when_a_loss_stands_still() -> None:
    assert not stands_still([1.0, 1.0], 2, 0.0)
    assert stands_still([1.0, 1.0, 1.0], 2, 1e-3)
    assert not stands_still([1.0, 0.9, 1.1], 2, 1e-3)  # the best counts, not the last
    assert stands_still([1.0, 0.9995, 0.9995], 2, 1e-3)
    assert stands_still([-1.0, -1.0005], 1, 1e-3) and not stands_still([-1.0, -1.1], 1, 1e-3)
    assert not stands_still([1.0], 1, 0.0)


def test_budgets_in_macs_and_numbers_are_kept() -> None:
    subject, schedule, _ = started(ns.Budget(macs="150%"), every=1, share=10.0, step=0.02)
    cost = schedule._sculptor.graph.cost()
    while schedule.step() is not None:
        pass
    assert cost.macs < schedule._sculptor.graph.cost().macs <= 1.5 * cost.macs
    subject, schedule, _ = started(ns.Budget(params=90), every=1, share=10.0, step=0.02)
    while schedule.step() is not None:
        assert size(subject) <= 90
    assert schedule.finished


def test_a_budget_that_is_used_up_grows_nothing() -> None:
    subject, schedule, _ = started(ns.Budget(params="100%"), every=1)
    start = size(subject)
    assert schedule.step() is None and schedule.finished
    assert size(subject) == start


def test_options_reach_the_splitting() -> None:
    _, schedule, _ = started(ns.Budget(params="200%"), every=1, copies=4, signed=3.0, step=0.02)
    done = schedule.step()
    assert done is not None and done.predicted is not None and done.predicted < 0
    _, schedule, _ = started(ns.Budget(params="200%"), every=1, copies=7)
    with pytest.raises(ArgumentError, match="copies must be 2, 3 or 4"):
        schedule.step()


def test_it_grows_by_firefly_descent_too() -> None:
    options = {"kinds": ("split", "new", "layer"), "tuning": ns.Tuning(batches=4)}
    subject, schedule, optimizer = started(ns.Budget(params="150%"), every=1, method="grow", **options)
    start = size(subject)
    for _ in range(3):
        done = schedule.step(epoch(subject, optimizer))
        assert done is None or done.predicted == pytest.approx(done.measured, rel=1e-3, abs=1e-5)
    assert schedule.grown and start < size(subject) <= 1.5 * start


def test_it_grows_when_new_units_would_help_a_natural_gradient() -> None:
    subject, _, _ = started(ns.Budget(params="200%"), every=1)
    batches = list(zip(subject.x.split(16), subject.y.split(16), strict=True))
    stats = measure(subject.model, ns.trace(subject.model, subject.x), batches, F.cross_entropy, for_="grow")
    most = max(each.relative for each in ns.natural_gains(stats).values())
    for threshold, grows in ((0.99 * most, True), (1.01 * most, False)):
        _, schedule, _ = started(ns.Budget(params="200%"), gain=threshold, step=0.02)
        assert (schedule.step() is not None) == grows


def test_a_latency_is_kept_too() -> None:
    budget, clock = ns.Budget(params="300%", latency=9.0), lambda sizes: float(sizes.get("up", 6))
    subject, schedule, _ = started(budget, every=1, share=10.0, step=0.02, latency=clock)
    while schedule.step() is not None:
        pass
    assert 6 < len(subject.model.up.weight) <= 9


REFUSALS: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (ArgumentError, "every must be a whole number of epochs above 0, not 0", {"every": 0}),
    (ArgumentError, "every must be a whole number of epochs above 0, not True", {"every": True}),
    (ArgumentError, "patience must be a whole number of epochs above 0, not 1.5", {"patience": 1.5}),
    (ArgumentError, r"share must be above 0 and tolerance in \[0, 1\), not 0 ", {"share": 0}),
    (ArgumentError, r"share must be above 0 and tolerance in \[0, 1\), not 0.3 and 1", {"tolerance": 1}),
    (ArgumentError, "gain must be a share above 0, and every None with it, not 1.0 and 2", {"gain": 1.0, "every": 2}),
    (ArgumentError, "gain must be a share above 0, and every None with it, not 0 and None", {"gain": 0}),
    (ArgumentError, "method must be one of split, grow, not 'graft'", {"method": "graft"}),
    (ArgumentError, "latency of a schedule's budget must be in seconds, not '120%'", {"latency": "120%"}),
    (BudgetError, "params of a budget must be", {"params": "many"}),
]


@pytest.mark.parametrize(("kind", "sentence", "options"), REFUSALS)
def test_what_makes_no_sense_is_refused(kind: type[Exception], sentence: str, options: dict[str, Any]) -> None:
    with pytest.raises(kind, match=sentence):
        budget = ns.Budget(params=options.pop("params", "200%"), latency=options.pop("latency", None))
        started(budget, **options)


def test_standing_still_needs_a_loss() -> None:
    _, schedule, _ = started(ns.Budget(params="200%"))
    with pytest.raises(ArgumentError, match="step needs the loss of the epoch where neither every nor gain is given"):
        schedule.step()
