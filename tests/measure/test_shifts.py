"""Sums by shifts against sums of patches."""

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import shifts
from netsculpt.measure.consumers import Read, find_consumers
from netsculpt.measure.grams import GramSum, sum_of
from netsculpt.measure.shifts import ShiftSum, shiftable

CASES: dict[str, tuple[int, int, dict[str, Any]]] = {  # dimensions, size of the pictures, options
    "valid": (2, 5, {}),
    "same": (2, 5, {"padding": 1}),
    "more padding than reach": (2, 4, {"padding": 3}),
    "dilated": (2, 6, {"padding": 2, "dilation": 2}),
    "uneven": (2, 6, {"kernel_size": (2, 5), "padding": (0, 2), "dilation": (3, 1)}),
    "kernel as large as the picture": (2, 3, {}),
    "kernel larger than the picture": (2, 2, {"kernel_size": 5, "padding": 2}),
    "groups": (2, 5, {"groups": 2, "padding": 1}),
    "line": (1, 7, {"kernel_size": 4, "padding": 1}),
    "volume": (3, 4, {"kernel_size": (1, 2, 3), "padding": (0, 1, 1)}),
}


def consumer(name: str) -> tuple[Read, nn.Module, torch.Tensor]:
    dimensions, size, options = CASES[name]
    torch.manual_seed(0)
    make = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1]
    model = nn.Sequential(
        make(2, 6, 1), nn.ReLU(), make(6, 4, **{"kernel_size": 3, **options}), nn.Flatten(), nn.LazyLinear(2)
    ).double()
    x = torch.randn(5, 2, *[size] * dimensions, dtype=torch.float64)
    model(x)
    consumers, _ = find_consumers(ns.trace(model.eval(), x[:2]))
    (read,) = (read for each in consumers.values() for read in each.reads if read.weight == "2.weight")
    return read, model[2], model[:2](x).detach()


@pytest.fixture(autouse=True)
def few_units(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shifts, "LEAST", 1)


@pytest.mark.parametrize("name", CASES)
def test_shifts_are_patches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shifts, "CHUNK", 1 << 11)  # several parts
    read, layer, h = consumer(name)
    sums = sum_of(read, layer.weight.detach()), GramSum(read, layer.weight.detach())  # type: ignore[arg-type]
    assert isinstance(sums[0], ShiftSum)
    for each in sums:
        each.add(h[:3])
        each.add(h[3:])
    assert sums[0].positions == sums[1].positions == layer(h)[:, 0].numel()
    torch.testing.assert_close(sums[0].inner(), sums[1].inner(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sums[0].means(), sums[1].means(), rtol=1e-12, atol=1e-12)


def test_ranks_add_up() -> None:
    read, layer, h = consumer("groups")
    whole, *parts = (ShiftSum(read, layer.weight.detach()) for _ in range(3))  # type: ignore[arg-type]
    whole.add(h)
    for each, rows in zip(parts, h.split([2, 3]), strict=True):
        each.add(rows)
    for mine, other in zip(parts[0].tensors(), parts[1].tensors(), strict=True):
        mine += other
    torch.testing.assert_close(parts[0].inner(), whole.inner())
    torch.testing.assert_close(parts[0].means(), whole.means())


def test_what_has_no_shifts_is_summed_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=2), nn.ReLU())
    model.extend([nn.Conv2d(4, 4, 2, padding="same"), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(36, 2)])
    x = torch.randn(3, 2, 7, 7)
    consumers, _ = find_consumers(ns.trace(model.eval(), x[:2]))
    assert set(consumers) == {"0", "2", "4", "6"}
    assert not any(shiftable(read) for each in consumers.values() for read in each.reads)
    read, *_ = consumer("same")
    assert shiftable(read)
    monkeypatch.setattr(shifts, "MOST", 13 * 8 * 6**2 - 1)
    assert not shiftable(read)
    monkeypatch.setattr(shifts, "LEAST", 7)
    assert not shiftable(read)


def test_measuring_uses_them() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1), nn.Flatten(), nn.Linear(75, 2))
    x = torch.randn(6, 2, 5, 5)
    stats = ns.Sculptor(model.eval(), x[:2]).measure(
        [(x, torch.zeros(6, dtype=torch.int64))], F.cross_entropy, for_="prune", axes=["0"]
    )
    c = torch.stack([F.conv2d(model[:2](x)[:, [i]], model[2].weight[:, [i]], padding=1) for i in range(4)]).detach()
    inner = torch.einsum("inohw,jnohw->ij", c, c) / (6 * 25)
    torch.testing.assert_close(stats.products["0"]["2.weight"].inner, inner.double(), rtol=1e-5, atol=1e-6)
