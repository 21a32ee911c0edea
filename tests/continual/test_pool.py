"""What a mask means: which values a task sees, whose they are, and what they weigh."""

from pathlib import Path

import pytest
import torch
from torch import nn

import netsculpt as ns
from netsculpt.continual.work import Work
from netsculpt.errors import ArgumentError, EditError
from tests.continual.networks import CLASSES, NETWORKS, Mlp, Plain, built, images, learn, learner

OLD = 4  # units of the first convolution


def added(subject: ns.continual.Learner, name: str, work: Work) -> nn.Module:
    """A task with these units and random values wherever no other task has any."""
    frozen = work.frozen()
    with torch.no_grad():
        for key, parameter in work.net.named_parameters():
            free = ~frozen[key] if key in frozen else torch.ones(parameter.shape, dtype=torch.bool)
            parameter[free] = torch.randn(int(free.sum()), generator=torch.Generator().manual_seed(len(name)))
    work.settle()
    subject.pool.add(name, work.net, work.origin)
    return work.net.eval()


def first(name: str = "Plain") -> tuple[ns.continual.Learner, nn.Module]:
    subject = learner(name)
    return subject, added(subject, "a", Work(subject.pool, None, fresh=False))


def test_a_task_is_a_cut_through_the_pool() -> None:
    subject, _ = first()
    work = Work(subject.pool, None, fresh=True)
    work.widen({"conv1": 2}, seed=0)
    work.keep({"conv1": torch.tensor([3, 4, 0, 5])})  # its own units between the pool's
    added(subject, "b", work)
    mask, net = subject.pool["b"].masks["conv1"], subject.task("b")
    assert mask.tolist() == [0, 3, OLD, OLD + 1]
    whole = subject.pool.model
    assert torch.equal(net.conv1.weight, whole.conv1.weight[mask])
    assert torch.equal(net.conv2.weight, whole.conv2.weight[:, mask])
    assert net.conv1.out_channels == net.norm1.num_features == net.conv2.in_channels == 4
    assert torch.equal(subject.task("a").conv2.weight, whole.conv2.weight[:, :OLD])


@pytest.mark.parametrize("name", NETWORKS)
def test_what_was_trained_is_what_the_pool_keeps(name: str) -> None:
    """All values of the task's network, wherever new units come in tensors of the pool."""
    subject, _ = first(name)
    for number in range(2):
        work = Work(subject.pool, None, fresh=True)
        work.widen({axis.name: 1 + number for axis in subject.pool.axes if axis.exact}, seed=number)
        net = added(subject, f"b{number}", work)
        kept = subject.task(f"b{number}").state_dict()
        assert all(torch.equal(value, kept[key]) for key, value in net.state_dict().items())


def test_older_units_hear_of_younger_ones_only_where_both_are_used() -> None:
    subject, old = first()
    before = old.conv2.weight.clone()
    work = Work(subject.pool, None, fresh=True)
    work.widen({"conv1": 1}, seed=0)
    frozen = work.frozen()
    assert bool(frozen["conv2.weight"][:, :OLD].all()) and not bool(frozen["conv2.weight"][:, OLD:].any())
    net = added(subject, "b", work)
    assert bool((net.conv2.weight[:, OLD] != 0).all())
    assert torch.equal(subject.task("a").conv2.weight, before)
    assert torch.equal(subject.task("b").conv2.weight, net.conv2.weight)
    assert bool(Work(subject.pool, None, fresh=True).frozen()["conv2.weight"].all())


def test_what_no_task_uses_stays_free() -> None:
    """Two tasks with units of their own: a third that uses both may say what they mean to each other."""
    subject, _ = first("Mlp")
    for name in ("b", "c"):
        work = Work(subject.pool, None, fresh=True)
        work.widen({"1": 1, "3": 1}, seed=0)
        size = work.size("1"), work.size("3")
        own = {"1": torch.tensor([0, 1, size[0] - 1]), "3": torch.tensor([0, size[1] - 1])}
        work.keep(own)
        added(subject, name, work)
    free = ~Work(subject.pool, None, fresh=True).frozen()["3.weight"]  # 4 + 2 by 6 + 2
    wanted = torch.zeros(6, 8, dtype=torch.bool)
    wanted[1:4, 6:] = True  # units of "a" that neither of the others has
    wanted[4:, 2:6] = True  # what "b" and "c" do not have of "a"
    wanted[4, 7] = wanted[5, 6] = True
    assert torch.equal(free, wanted)


def test_unlocking_leaves_the_old_unit() -> None:
    subject, old = first()
    work = Work(subject.pool, None, fresh=True)
    work.origin["conv1"][1] = -1
    net = added(subject, "b", work)
    whole = subject.pool.model
    assert subject.pool["b"].masks["conv1"].tolist() == [0, 2, 3, OLD]
    assert torch.equal(whole.conv1.weight[1], old.conv1.weight[1])
    assert torch.equal(whole.conv2.weight[:, 1], old.conv2.weight[:, 1])
    assert torch.equal(whole.conv1.weight[OLD], net.conv1.weight[-1])
    assert not torch.equal(whole.conv1.weight[OLD], whole.conv1.weight[1])
    assert torch.equal(subject.task("a")(images(3)), old(images(3)))


def test_values_that_others_use_cannot_be_brought_in() -> None:
    subject, old = first()
    work = Work(subject.pool, None, fresh=True)
    with torch.no_grad():
        work.net.conv2.weight[0, 0, 0, 0] += 1
    with pytest.raises(EditError, match=r"conv2\.weight has other values than the tasks that were learnt before"):
        subject.pool.add("b", work.net, work.origin)
    assert subject.names == ("a",) and torch.equal(subject.task("a")(images(3)), old(images(3)))


def test_norms_and_heads_are_private() -> None:
    subject, _ = first()
    norms = {f"norm{k}.{name}" for k in (1, 2) for name in ("weight", "bias", "running_mean", "running_var")}
    assert subject.pool.private == norms | {f"norm{k}.num_batches_tracked" for k in (1, 2)} | {
        "head.weight",
        "head.bias",
    }
    learn(subject, 1, classes=5)
    one, other = subject.task("a"), subject.task("task 1")
    assert other.head.out_features == len(other.head.weight) == len(other.head.bias) == 5
    assert one.head.out_features == CLASSES
    assert not torch.equal(one.norm1.running_mean, other.norm1.running_mean[:OLD])


def test_private_modules_can_be_named() -> None:
    subject = ns.continual.Learner(Plain(), images(0, 2), private=("hidden", "head"))
    assert [axis.name for axis in subject.pool.axes] == ["conv1", "conv2"]  # units inside the head are not the pool's
    assert "hidden.weight" in subject.pool.private
    learn(subject, 0)
    learn(subject, 1, classes=2)
    assert not torch.equal(subject.task("task 0").hidden.weight[:, :4], subject.task("task 1").hidden.weight[:, :4])


def test_a_head_that_is_tied_is_refused() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.mix, self.head = nn.Embedding(9, 4), nn.Linear(4, 4), nn.Linear(4, 9, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.mix(self.embed(x)).tanh())

    with pytest.raises(ArgumentError, match=r"private must leave out head\.weight: it is tied to embed\.weight"):
        ns.continual.Learner(Tied(), torch.zeros(2, 3, dtype=torch.int64), private=("head",))


def test_sizes_are_what_is_there(tmp_path: Path) -> None:
    subject = learner("Residual")
    for seed in range(3):
        learn(subject, seed)
    sizes, pool = subject.sizes(), subject.pool
    assert sizes.pool == sum(each.numel() for name, each in pool.model.named_parameters() if name not in pool.private)
    for size in sizes.tasks:
        state = subject.task(size.name).state_dict()
        assert size.network == sum(each.numel() for each in state.values() if each.is_floating_point())
        private = [each for name, each in state.items() if name in pool.private and each.is_floating_point()]
        assert size.private == sum(each.numel() for each in private)
        assert size.units == sum(len(mask) for mask in pool[size.name].masks.values())
        assert size.mask == -(-sizes.units // 8)
    assert sizes.total == sizes.pool + sum(size.private for size in sizes.tasks) < sizes.apart
    assert f"{sizes.total:,}" in str(sizes) and "task 2" in str(sizes)


def test_an_exported_task_is_the_task(tmp_path: Path) -> None:
    """A compact network in a file of its own, smaller than the pool's, which the first model's class can read."""
    subject = learner("Plain")
    for seed, classes in enumerate((3, 3, 5)):
        learn(subject, seed, classes=classes, drop=ns.Tolerance(accuracy=0.1) if seed else None)
    whole = sum(each.numel() for each in subject.pool.model.parameters())
    for name in subject.names:
        subject.export(name, tmp_path / "task.safetensors")
        net = ns.load(lambda: built("Plain", seed=3), tmp_path / "task.safetensors").eval()
        assert torch.equal(net(images(9)), subject.task(name)(images(9)))
        assert sum(each.numel() for each in net.parameters()) < whole
        assert net.head.out_features == subject.task(name).head.out_features


def test_the_pool_of_a_model_without_a_head_of_its_own() -> None:
    with pytest.raises(ArgumentError, match="private must name the head"):
        ns.continual.Learner(nn.Flatten(), images(0, 2))
    assert ns.continual.Learner(Mlp(), images(0, 2)).pool.heads == ("5",)
