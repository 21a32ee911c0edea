"""Two processes on this machine train, edit, wrap anew and train on, and stay one model."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn, optim
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from netsculpt.edit import Assign, Plan, Prune, apply
from netsculpt.edit.applied import Applied
from netsculpt.edit.distributed import digest, rewrap
from netsculpt.edit.transaction import Transaction
from netsculpt.errors import ArgumentError, EditError
from netsculpt.graph import trace
from netsculpt.graph.gather import Gather
from tests.edit.models import Chain
from tests.edit.networks import KEEP_1, make_net, prune, pruned_oracle, train_step

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="needs torch.distributed with gloo")
RANKS = 2


def start(rank: int, store: str, body: Callable[[int], None]) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS, timeout=timedelta(seconds=60)
    )
    body(rank)
    dist.barrier()
    # Now and then gloo's threads outlive the interpreter after any backward pass of DDP, and abort the process.
    os._exit(0)


def on_all_ranks(folder: Path, body: Callable[[int], None]) -> None:
    mp.spawn(start, (str(folder / "store"), body), nprocs=RANKS)


def gathered(thing: Any) -> list[Any]:
    things = [None] * RANKS
    dist.all_gather_object(things, thing)
    return things


def parameters(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def trains_and_is_edited(rank: int) -> None:
    net = make_net(seed=rank)  # DDP makes rank 1 like rank 0
    alone = make_net(seed=0)
    ddp = DistributedDataParallel(
        net, broadcast_buffers=False, find_unused_parameters=True, gradient_as_bucket_view=True, bucket_cap_mb=3
    )
    ddp.register_comm_hook(None, allreduce_hook)
    optimizer, alone_optimizer = (optim.SGD(model.parameters(), 0.1, 0.9) for model in (net, alone))
    train_step(ddp, rank, optimizer)
    mean_step(alone, 0, alone_optimizer)

    def edit(inner: nn.Module) -> Applied:
        transaction = Transaction(inner, [optimizer])
        prune(transaction)
        return transaction.commit()

    buffers = [net.bn1.running_mean[KEEP_1].clone(), net.bn1.num_batches_tracked.clone()]
    wrapped, applied = rewrap(ddp, edit)
    with Transaction(alone, [alone_optimizer]) as transaction:
        prune(transaction)
    assert wrapped.module is net
    assert all(
        torch.equal(*pair) for pair in zip(buffers, (net.bn1.running_mean, net.bn1.num_batches_tracked), strict=True)
    )
    assert (wrapped.find_unused_parameters, wrapped.gradient_as_bucket_view, wrapped.broadcast_buffers) == (
        True,
        True,
        False,
    )
    assert wrapped.bucket_bytes_cap == 3 * 2**20
    assert wrapped._comm_hooks == [(allreduce_hook, None)]
    for step in (2, 4):
        train_step(wrapped, step + rank, optimizer)
        mean_step(alone, step, alone_optimizer)
        assert len(set(gathered(digest(net)))) == 1
        for name, parameter in alone.named_parameters():
            torch.testing.assert_close(net.get_parameter(name), parameter, rtol=1e-12, atol=1e-14)
    assert {id(p) for p in optimizer.param_groups[0]["params"]} == {id(p) for p in net.parameters()}
    momenta = torch.cat([optimizer.state[p]["momentum_buffer"].flatten() for p in net.parameters()])
    assert torch.equal(*gathered(momenta))
    wrapped, undone = rewrap(wrapped, lambda _: applied.undo())
    assert undone == "merged"
    before = parameters(net)
    train_step(wrapped, 6 + rank, optimizer)
    assert len(set(gathered(digest(net)))) == 1
    assert not torch.equal(before["conv2.weight"], net.conv2.weight)


def mean_step(model: nn.Module, seed: int, optimizer: optim.Optimizer) -> None:
    """One step of a single process on the batches that the ranks get, each through the norm alone as there."""
    optimizer.zero_grad()
    for rank in range(RANKS):
        train_step(model, seed + rank)
    for parameter in model.parameters():
        assert parameter.grad is not None
        parameter.grad /= RANKS
    optimizer.step()


def refuses_what_differs(rank: int) -> None:
    net = make_net()

    def unlike(inner: nn.Module) -> None:
        with Transaction(inner) as edit:
            edit.replace("bn1.weight", Gather({0: torch.tensor([rank])}))

    def failing(inner: nn.Module) -> None:
        if rank == 1:
            raise ValueError("not here")

    with pytest.raises(EditError, match=r"DistributedDataParallel synchronises .* use edit.rewrap"):
        Transaction(DistributedDataParallel(net))
    with pytest.raises(EditError, match="rank 1: failed with ValueError: not here"):
        rewrap(DistributedDataParallel(net), failing)
    net.bn1.weight.data.copy_(torch.arange(8))
    with pytest.raises(EditError, match=r"must leave all ranks with the same model, but they have rank 0: \w+; rank 1"):
        rewrap(DistributedDataParallel(net), unlike)


def assigns(rank: int) -> None:
    net = Chain()
    graph, ddp = trace(net, torch.randn(5, 4)), DistributedDataParallel(net)

    def plan(value: float) -> Plan:
        return Plan.of(graph, [Assign("second.weight", torch.full((5, 6), value)), Prune("first", [1, 4])])

    wrapped, _ = rewrap(ddp, lambda inner: apply(plan(0.5), inner, graph=graph))
    assert len(set(gathered(digest(net)))) == 1
    assert bool((net.second.weight == 0.5).all())
    with pytest.raises(EditError, match=r"must leave all ranks with the same model, but they have rank 0: \w+; rank 1"):
        rewrap(
            wrapped,
            lambda inner: apply(Plan((Assign("last.bias", torch.full((2,), float(rank))),)), inner, graph=graph),
        )


def keeps_the_rest_of_the_settings(rank: int) -> None:
    net = make_net()
    net.bn1.eval()
    net.head.requires_grad_(False)
    ddp = DistributedDataParallel(net, static_graph=True)
    wrapped, _ = rewrap(ddp, lambda _: None)
    assert wrapped.static_graph
    assert wrapped.broadcast_buffers
    assert wrapped.bucket_bytes_cap_default
    assert not net.bn1.training
    optimizer = optim.SGD([p for p in net.parameters() if p.requires_grad], 0.1)
    for seed in (0, 2):  # the old wrapper must not reduce what did not change hands
        train_step(wrapped, seed + rank, optimizer)
    assert len(set(gathered(digest(net)))) == 1


@pytest.mark.parametrize("body", [trains_and_is_edited, refuses_what_differs, assigns, keeps_the_rest_of_the_settings])
def test_on_two_ranks(tmp_path: Path, body: Callable[[int], None]) -> None:
    on_all_ranks(tmp_path, body)


def test_a_digest_sees_names_shapes_and_values() -> None:
    net = make_net()
    same = digest(net)
    assert digest(make_net()) == same
    assert digest(make_net(1)) != same
    assert digest(pruned_oracle(net)) != same
    net.bn1.running_mean.add_(1)
    assert digest(net) == same
    net.bn1.running_mean = net.bn1.running_mean[:2]
    assert digest(net) != same


def test_only_wrappers_are_rewrapped() -> None:
    with pytest.raises(ArgumentError, match="ddp must be a DistributedDataParallel, not Net"):
        rewrap(make_net(), lambda _: None)  # type: ignore[arg-type]
