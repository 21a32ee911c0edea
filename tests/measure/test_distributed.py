"""Two processes, each with its own share of the data, come to the plan of one with all of it."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

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


NAMES = ["Strided", "SwiGlu"]


def start(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS, timeout=timedelta(seconds=60)
    )
    answers = {name: planned(rank, name) for name in NAMES}
    if rank == 0:
        torch.save(answers, f"{folder}/answers")
    dist.barrier()
    os._exit(0)  # gloo's threads may outlive the interpreter, as in tests/edit/test_distributed.py


def measured(name: str, share: slice) -> Statistics:
    subject = case(name)
    batches = zip(subject.x[share].split(2), subject.y[share].split(2), strict=True)
    return measure(subject.model, ns.trace(subject.model, subject.x), batches, F.cross_entropy)


def text(plan: ns.Plan) -> list[tuple[Any, ...]]:
    return [(edit.axis, edit.index, edit.weights.tolist()) for edit in plan.edits]  # type: ignore[union-attr]


def plans(stats: Statistics) -> list[ns.Plan]:
    return [ns.split(stats, ROOM), ns.split(stats, ROOM, copies=4, signed=3.0)]


def planned(rank: int, name: str) -> dict[str, Any]:
    stats = measured(name, SHARES[rank])
    found = plans(stats)
    # Ranks with unequal shares must not go different ways, or they wait for each other forever.
    positions = [stats.positions(axis) for axis in stats.units]
    everywhere: list[Any] = [None] * RANKS
    dist.all_gather_object(everywhere, (positions, [plan.to_json() for plan in found]))
    assert everywhere[0] == everywhere[1]  # bit for bit
    return {
        "values": {axis: spectrum.values for axis, spectrum in spectra(stats).items()},
        "plans": [(text(plan), plan.predicted) for plan in found],
        "loss": stats.loss,
        "again": stats.loss_of(stats.model),
        "examples": stats.examples,
    }


def test_two_ranks_plan_like_one_process(tmp_path: Path) -> None:
    mp.spawn(start, (str(tmp_path),), nprocs=RANKS)
    answers = torch.load(tmp_path / "answers")
    for name in NAMES:
        stats, answer = measured(name, slice(0, 6)), answers[name]
        assert answer["examples"] == stats.examples == 6
        assert (answer["loss"], answer["again"]) == (pytest.approx(stats.loss), pytest.approx(stats.loss))
        for axis, spectrum in spectra(stats).items():
            torch.testing.assert_close(answer["values"][axis], spectrum.values)
        for (edits, predicted), plan in zip(answer["plans"], plans(stats), strict=True):
            assert edits == text(plan)
            assert predicted == pytest.approx(plan.predicted)
