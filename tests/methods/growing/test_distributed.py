"""Two processes, each with its own share of the data, make the plan that one process makes on all of it."""

import copy
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
from netsculpt.errors import MeasureError
from netsculpt.measure import Statistics, measure
from netsculpt.methods.growing import Tuning
from tests.methods.growing.nets import measured

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="needs torch.distributed with gloo")
RANKS = 2
PARTS = [slice(0, 8), slice(8, 12)]  # of every batch of twelve: the ranks' batches are not alike
TUNING = Tuning(batches=30, patience=4, optimizer=lambda values: torch.optim.Adam(values, lr=0.03))


def shared(stats: Statistics, part: slice) -> Statistics:
    """The statistics of a share of every batch."""
    batches = [(each.inputs.args[0][part], each.target[part]) for each in stats.data]
    return measure(stats.model, stats.graph, batches, stats.loss_fn, for_="grow")


def plan(stats: Statistics) -> ns.Plan:
    return ns.grow(stats, ns.Limits(units=6), kinds=("split", "new", "layer"), tuning=TUNING, rounds=2)


def failing(stats: Statistics, rank: int) -> str:
    """A loss that is not finite on the second rank alone, after some steps."""
    seen = []

    def loss_fn(answer: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append(1)
        loss = F.cross_entropy(answer, target)
        return loss * torch.nan if rank == 1 and len(seen) > len(stats.data) + 3 else loss

    batches = [(each.inputs.args[0], each.target) for each in stats.data]
    own = measure(stats.model, stats.graph, batches, loss_fn, for_="grow")
    with pytest.raises(MeasureError) as caught:
        plan(own)
    return str(caught.value)


def start(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    whole = {name: measured(name)[1] for name in ("mlp", "convnet")}  # before there are ranks, whose sums it would take
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS, timeout=timedelta(seconds=60)
    )
    found = {name: plan(shared(stats, PARTS[rank])).to_json() for name, stats in whole.items()}
    everywhere: list[Any] = [None] * RANKS
    dist.all_gather_object(everywhere, (found, failing(whole["mlp"], rank)))
    if rank == 0:
        torch.save(everywhere, f"{folder}/plans")
    dist.barrier()
    os._exit(0)  # gloo's threads may outlive the interpreter, as in tests/edit/test_distributed.py


def test_two_ranks_make_the_plan_of_one_process(tmp_path: Path) -> None:
    mp.spawn(start, (str(tmp_path),), nprocs=RANKS)
    (plans, mine), (others, yours) = torch.load(tmp_path / "plans")
    assert plans == others
    assert "rank 1 failed" in mine and "loss with candidates attached is nan" in yours
    for name, text in plans.items():
        _, stats = measured(name)
        own, theirs = plan(stats), ns.Plan.from_json(text)
        assert own.predicted is not None and own.predicted < 0
        assert theirs.predicted == pytest.approx(own.predicted, rel=1e-6)
        assert theirs.after == own.after
        x = stats.data[0].inputs.args[0]
        answers = []
        for each in (own, theirs):
            model = copy.deepcopy(stats.model)
            ns.apply(each, model, graph=ns.trace(model, x[:2]), check=False)
            answers.append(model(x))
        torch.testing.assert_close(*answers, rtol=1e-5, atol=1e-6)
