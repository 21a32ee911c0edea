"""Two processes, each with its own share of the calibration data, make one plan, and fit what one process fits."""

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
from netsculpt.measure import Statistics
from netsculpt.methods.pruning.curves import curve
from netsculpt.methods.pruning.refits import Fitted, fit
from tests.methods.pruning.networks import network

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="needs torch.distributed with gloo")
RANKS = 2
SHARES = [slice(0, 64), slice(64, 96)]  # the first rank has two batches, the second one


def measured(share: slice) -> tuple[ns.Sculptor, Statistics]:
    model, x, y = network("Plain")
    sculptor = ns.Sculptor(model, x[:3])
    batches = list(zip(x[share].split(32), y[share].split(32), strict=True))
    return sculptor, sculptor.measure(batches, F.cross_entropy, for_="prune")


def fitted(stats: Statistics) -> Fitted:
    return fit(stats, {axis: curve(stats, axis).choice(4) for axis in stats.consumers}, ridge=1e-3)


def start(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS, timeout=timedelta(seconds=60)
    )
    sculptor, stats = measured(SHARES[rank])
    found = fitted(stats)
    plans = [ns.prune(stats, ns.Budget(params="60%"), objective=each) for each in ("local", "both")]  # type: ignore[arg-type]
    everywhere: list[Any] = [None] * RANKS
    dist.all_gather_object(everywhere, [plan.to_json() for plan in plans])
    assert everywhere[0] == everywhere[1]  # bit for bit
    done = sculptor.apply(plans[0])
    assert done.predicted == pytest.approx(done.measured)
    if rank == 0:
        torch.save({"values": dict(found.values), "loss": found.loss, "far": found.discrepancy}, f"{folder}/answers")
    dist.barrier()
    os._exit(0)  # gloo's threads may outlive the interpreter, as in tests/edit/test_distributed.py


def test_two_ranks_fit_like_one_process(tmp_path: Path) -> None:
    mp.spawn(start, (str(tmp_path),), nprocs=RANKS)
    answers = torch.load(tmp_path / "answers")
    alone = fitted(measured(slice(0, 96))[1])
    assert answers["loss"] == pytest.approx(alone.loss) and answers["far"] == pytest.approx(alone.discrepancy)
    for name, value in alone.values.items():
        torch.testing.assert_close(answers["values"][name], value)
