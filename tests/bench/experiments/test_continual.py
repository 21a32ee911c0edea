"""The experiment on continual learning in small: every way runs, and the tables hold its lines."""

import pytest
import torch

import netsculpt as ns
from bench.experiments import continual_mnist
from bench.experiments.continual_data import Sequence, Task, convnet, mlp, permuted, split
from bench.experiments.continual_mnist import lines_of
from bench.experiments.continual_others import fisher, numbers, scale_within, without
from bench.experiments.continual_tables import report
from bench.experiments.data import Images


def pictures(count: int, seed: int) -> Images:
    chance = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    return Images(torch.randn(count, 1, 28, 28, generator=chance) + labels.reshape(-1, 1, 1, 1) / 3, labels)


def tasks(count: int) -> list[Task]:
    return permuted(pictures(256, 0), pictures(100, 1), 0, 128, 64, tasks=count)


def test_tasks_are_cut_from_the_data() -> None:
    found = split(pictures(200, 0), pictures(100, 1), seed=0, count=20, held=10)
    assert [task.name for task in found] == ["0 or 1", "2 or 3", "4 or 5", "6 or 7", "8 or 9"]
    for task in found:
        assert (len(task.train.labels), len(task.held.labels), len(task.test.labels)) == (20, 10, 20)
        assert task.classes == 2 and set(task.test.labels.tolist()) == {0, 1}
    first, second = tasks(2)
    assert not torch.equal(first.test.pictures, second.test.pictures)
    assert torch.equal(first.test.pictures.flatten(1).sort().values, second.test.pictures.flatten(1).sort().values)


def test_ways_lines_and_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continual_mnist, "GROWTH", ns.continual.Growth(rounds=2, batches=4, scored=2))
    sequence = Sequence("some", tasks(2), lambda scale: convnet(10, 0, scale))
    lines = lines_of(sequence, epochs=1, seed=0, strength=10.0)
    assert [line["way"] for line in lines] == [
        "network per task",
        "pool",
        "narrow network per task",
        "fine-tuning",
        "EWC",
    ]
    by_way = {line["way"]: line for line in lines}
    assert by_way["pool"]["forgetting"] == by_way["pool"]["most forgotten"] == 0
    assert by_way["network per task"]["size"] == 2 * numbers(convnet(10, 0))
    assert by_way["narrow network per task"]["size"] <= by_way["pool"]["size"]
    text = report(lines, {"CPU": "some"})
    assert "| some | pool | " in text and "EWC, λ = 10" in text and "| some | order 1 | " in text


def test_fisher_is_the_mean_square_of_single_gradients() -> None:
    task, net = tasks(1)[0], mlp(0, 0.2).eval()
    found = fisher(net, task, ["1.weight"])["1.weight"]
    total = torch.zeros_like(found)
    for x, y in zip(task.train.pictures, task.train.labels, strict=True):
        (grad,) = torch.autograd.grad(torch.nn.functional.cross_entropy(net(x[None]), y[None]), [net[1].weight])
        total += grad.square()
    torch.testing.assert_close(found, total / len(task.train.labels), rtol=1e-4, atol=1e-9)


def test_scales_and_first_tasks() -> None:
    sequence = Sequence("some", tasks(3), lambda scale: mlp(0, scale))
    assert scale_within(sequence, 3 * numbers(mlp(0))) == 1.0
    half = scale_within(sequence, int(1.5 * numbers(mlp(0))))
    assert half < 1 and 3 * numbers(mlp(0, half)) <= 1.5 * numbers(mlp(0))
    few = without(sequence, 2)
    assert len(few.tasks) == 2 and few.tasks[0].test is sequence.tasks[0].held
    with pytest.raises(StopIteration):
        scale_within(sequence, 10)
