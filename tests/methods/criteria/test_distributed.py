"""Two processes, each with its own share of the data, score units like one with all of it."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import Statistics, measure
from netsculpt.methods.criteria import CRITERIA
from tests.methods.criteria.networks import subject

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="needs torch.distributed with gloo")
SHARES = [slice(0, 4), slice(4, 7)]  # the first rank has two batches, the second one
NAMES = ["conv", "queries"]


def start(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2, timeout=timedelta(seconds=60)
    )
    torch.save({name: scores(name, measured(name, SHARES[rank], 2 + rank)) for name in NAMES}, f"{folder}/{rank}")
    dist.barrier()
    os._exit(0)  # gloo's threads may outlive the interpreter, as in tests/edit/test_distributed.py


def measured(name: str, share: slice, size: int) -> Statistics:
    case = subject(name)
    batches = zip(case.x[share].split(size), case.y[share].split(size), strict=True)
    return measure(case.model, ns.trace(case.model, case.x), batches, F.cross_entropy)


def scores(name: str, stats: Statistics) -> dict[str, Tensor]:
    axis = subject(name).axis
    found = {each: CRITERIA[each](stats, axis) for each in CRITERIA if each != "batch_norm_scale"}
    plan = ns.prune_by(stats, ns.Budget(params="70%"), "taylor")
    return found | {f"kept of {edit.axis}": edit.keep for edit in plan.edits}  # type: ignore[union-attr]


def test_two_ranks_score_like_one_process(tmp_path: Path) -> None:
    mp.spawn(start, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / str(rank)) for rank in range(2))
    for name in NAMES:
        alone = scores(name, measured(name, slice(0, 7), 7))
        assert first[name].keys() == second[name].keys() == alone.keys()
        for each, expected in alone.items():
            assert torch.equal(first[name][each], second[name][each])  # bit for bit
            torch.testing.assert_close(first[name][each], expected, rtol=1e-9, atol=1e-14)
