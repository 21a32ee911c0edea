"""Two processes, each with its own share of the data, come to the plan of one with all of it."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import Statistics, measure
from netsculpt.methods.splitting import spectra
from tests.measure.networks import case

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="needs torch.distributed with gloo")
RANKS = 2
SHARES = [slice(0, 4), slice(4, 6)]  # the first rank has two batches, the second one
ROOM = ns.Budget(params="170%")


def start(rank: int, store: str, name: str, body: Callable[[int, str], None]) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=RANKS, timeout=timedelta(seconds=60)
    )
    body(rank, name)
    dist.barrier()
    os._exit(0)  # gloo's threads may outlive the interpreter, as in tests/edit/test_distributed.py


def measured(name: str, share: slice) -> Statistics:
    subject = case(name)
    batches = zip(subject.x[share].split(2), subject.y[share].split(2), strict=True)
    return measure(subject.model, ns.trace(subject.model, subject.x), batches, F.cross_entropy)


def text(plan: ns.Plan) -> list[tuple[object, ...]]:
    return [(edit.axis, edit.index, edit.weights.tolist()) for edit in plan.edits]  # type: ignore[union-attr]


def plans_alike(rank: int, name: str) -> None:
    stats = measured(name, SHARES[rank])
    found = spectra(stats)
    plans = [ns.split(stats, ROOM), ns.split(stats, ROOM, copies=4, signed=3.0)]
    others: list[object] = [None] * RANKS
    dist.all_gather_object(others, [plan.to_json() for plan in plans])
    assert others[0] == others[1]  # bit for bit
    sums = [stats.loss, stats.examples, stats.loss_of(stats.model)]
    if rank == 0:
        torch.save((found, [(text(plan), plan.predicted) for plan in plans], sums), os.environ["NETSCULPT_TEST_ANSWER"])


def routes_alike(rank: int, name: str) -> None:
    """Ranks with different numbers of positions must not go different ways, or they wait for each other forever."""
    stats = measured(name, SHARES[rank])
    for axis in stats.units:
        mine = torch.tensor([stats.positions(axis)])
        both = [torch.zeros_like(mine) for _ in range(RANKS)]
        dist.all_gather(both, mine)
        assert torch.equal(*both)


@pytest.mark.parametrize("name", ["Strided", "SwiGlu"])
def test_two_ranks_plan_like_one_process(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETSCULPT_TEST_ANSWER", str(tmp_path / "answer"))
    mp.spawn(start, (str(tmp_path / "store"), name, plans_alike), nprocs=RANKS)
    found, plans, (loss, examples, again) = torch.load(tmp_path / "answer", weights_only=False)
    stats = measured(name, slice(0, 6))
    assert (loss, again, examples) == (pytest.approx(stats.loss), pytest.approx(stats.loss), 6)
    for axis, spectrum in spectra(stats).items():
        torch.testing.assert_close(found[axis].values, spectrum.values)
    alone = [ns.split(stats, ROOM), ns.split(stats, ROOM, copies=4, signed=3.0)]
    for (edits, predicted), plan in zip(plans, alone, strict=True):
        assert edits == text(plan)
        assert predicted == pytest.approx(plan.predicted)


def test_ranks_go_the_same_way(tmp_path: Path) -> None:
    mp.spawn(start, (str(tmp_path / "store"), "Strided", routes_alike), nprocs=RANKS)
