"""Two processes, each with its own share of the calibration data, make the units that one process makes."""

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
from netsculpt.measure import measure
from netsculpt.methods.growing.initial import NewUnits, gradmax, tiny
from tests.methods.growing.initial.networks import network

pytestmark = pytest.mark.skipif(not dist.is_gloo_available(), reason="needs torch.distributed with gloo")
RANKS = 2
SHARES = [slice(0, 40), slice(40, 60)]  # the first rank has two batches, the second one


def made(share: slice) -> list[NewUnits]:
    case = network("Wide", examples=60)
    batches = list(zip(case.x[share].split(20), case.y[share].split(20), strict=True))
    stats = measure(case.model, ns.trace(case.model, case.x), batches, F.cross_entropy, for_="prune")
    return [gradmax(stats, "a", 3), tiny(stats, "a", 3)]


def start(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS, timeout=timedelta(seconds=60)
    )
    found = [tuple(each) for each in made(SHARES[rank])]
    everywhere: list[Any] = [None] * RANKS
    dist.all_gather_object(everywhere, found)
    torch.testing.assert_close(everywhere[0], everywhere[1], rtol=0, atol=0)
    if rank == 0:
        torch.save(found, f"{folder}/units")
    dist.barrier()
    os._exit(0)  # gloo's threads may outlive the interpreter, as in tests/edit/test_distributed.py


def test_two_ranks_make_the_units_of_one_process(tmp_path: Path) -> None:
    mp.spawn(start, (str(tmp_path),), nprocs=RANKS)
    for (slices, gains, decrease), own in zip(torch.load(tmp_path / "units"), made(slice(0, 60)), strict=True):
        torch.testing.assert_close(gains, own.gains)
        torch.testing.assert_close(decrease, own.decrease)
        for name, values in own.slices.items():
            torch.testing.assert_close(slices[name].norm(dim=1), values.norm(dim=1))
