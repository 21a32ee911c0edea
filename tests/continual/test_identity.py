"""F4: what a task answers is the same to the bit after any number of later ones, after saving, and elsewhere."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, optim

import netsculpt as ns
from netsculpt.continual.training import accuracy
from tests.continual.networks import ADAM, NETWORKS, built, images, learn, learner, task
from tests.repository import REPOSITORY, run_python

CLASSES = (3, 2, 4, 3, 5)


def answers(learner: ns.continual.Learner) -> dict[str, Tensor]:
    with torch.no_grad():
        return {name: learner.task(name)(images(99)) for name in learner.names}


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    for name, answer in wanted.items():
        assert torch.equal(found[name], answer), name


@pytest.mark.parametrize("name", NETWORKS)
def test_earlier_tasks_answer_as_they_did(name: str, tmp_path: Path) -> None:
    subject, before = learner(name), {}
    sizes = []
    for seed, classes in enumerate(CLASSES):
        options = {"drop": ns.Tolerance(accuracy=0.05)} if seed == 2 else {}
        done = learn(subject, seed, classes, validation=task(seed, classes), **options)
        net = subject.task(done.name)
        assert done.accuracy == accuracy(net, subject.pool.graph, task(seed, classes)), "it is not what was trained"
        now = answers(subject)
        assert_same(now, before)
        before = now
        assert now[f"task {seed}"].shape == (48, classes)
        sizes.append(sum(axis.size for axis in subject.pool.axes))
    assert sizes[-1] > sizes[0], "nothing grew, so nothing was tested"
    subject.save(tmp_path / "tasks.pt")
    again = ns.continual.Learner.load(lambda: built(name, seed=7), tmp_path / "tasks.pt")
    assert_same(answers(again), before)
    learn(again, 5)
    assert_same(answers(again), before)


@pytest.mark.parametrize("name", ["Plain", "Residual"])
def test_a_fresh_process_answers_the_same(name: str, tmp_path: Path) -> None:
    subject = learner(name)
    for seed in range(3):
        learn(subject, seed)
    subject.save(tmp_path / "tasks.pt")
    torch.save(answers(subject), tmp_path / "answers.pt")
    run_python(
        f"""
import torch
torch.set_num_threads(1)
import netsculpt as ns
from netsculpt.continual.training import accuracy
from tests.continual.networks import NETWORKS, images
subject = ns.continual.Learner.load(NETWORKS[{name!r}], "tasks.pt")
wanted = torch.load("answers.pt")
assert len(wanted) == 3
for name, answer in wanted.items():
    assert torch.equal(subject.task(name)(images(99)), answer), name
""",
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


@pytest.mark.parametrize("make", [optim.SGD, optim.AdamW, optim.RMSprop, optim.Adagrad])
def test_no_optimizer_moves_what_others_use(make: type[optim.Optimizer]) -> None:
    """Weight decay and momentum move values that have no gradient."""
    subject = learner("Plain")
    learn(subject, 0)
    before = answers(subject)

    def heavy(parameters: list[torch.nn.Parameter]) -> optim.Optimizer:
        options = {"momentum": 0.9} if make is optim.SGD else {}
        return make(parameters, lr=0.05, weight_decay=0.5, **options)

    learn(subject, 1, optimizer=heavy)
    assert_same(answers(subject), before)


def test_what_is_done_to_a_task_s_network_is_its_own() -> None:
    subject = learner("Residual")
    learn(subject, 0)
    before, net = answers(subject), subject.task("task 0")
    optimizer = ADAM(list(net.parameters()))
    net.train()
    net(images(5)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(net.eval()(images(99)), before["task 0"])
    assert_same(answers(subject), before)


def test_the_model_that_was_given_stays() -> None:
    model = built("Plain")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    subject = ns.continual.Learner(model, images(0, 2))
    learn(subject, 0)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_failure_leaves_the_pool_as_it_was() -> None:
    subject = learner("Plain")
    learn(subject, 0)
    before, size = answers(subject), subject.pool.graph.cost()
    batches = task(1)
    batches[-1] = (batches[-1][0] * float("nan"), batches[-1][1])
    with pytest.raises(ns.errors.MeasureError, match="the loss of batch 2 of epoch 0 is nan"):
        subject.learn("broken", batches, torch.nn.functional.cross_entropy, epochs=1)
    assert subject.names == ("task 0",) and subject.pool.graph.cost() == size
    assert_same(answers(subject), before)
    learn(subject, 1)
    assert_same(answers(subject), before)
