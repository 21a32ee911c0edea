"""The way back of a gather, and what follows a tensor, against their mathematics."""

import pytest
import torch
from torch import Tensor

from netsculpt.edit.carry import follow, merge, pull_back, without_copies
from netsculpt.graph.gather import Gather

KEEP = Gather({0: torch.tensor([3, 0]), 1: torch.tensor([1, 2])})
COPIES = Gather({0: torch.tensor([0, 1, 2, 3, 1, 1])})
SHARES = Gather({1: torch.tensor([0, 1, 2, 0])}, {1: torch.tensor([0.25, 1, 1, 0.75], dtype=torch.float64)})
SIGNED = Gather({1: torch.tensor([0, 1, 2, 0, 0])}, {1: torch.tensor([1.0, 1, 1, 0.5, -0.5])})
RESCALED = Gather({1: torch.tensor([2, 0])}, {1: torch.tensor([3.0, 0.5])})
WIDER = Gather({0: torch.tensor([0, 1, 2, 3, -1, -1])})
BOTH = Gather({0: COPIES.index[0], 1: SHARES.index[1]}, SHARES.scale)
ALL = [KEEP, COPIES, SHARES, SIGNED, RESCALED, WIDER, BOTH]


def tensor(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("gather", ALL)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int64])
def test_merging_what_was_not_trained_gives_the_old_back(gather: Gather, dtype: torch.dtype) -> None:
    old = tensor(dtype) if dtype.is_floating_point else torch.arange(24).reshape(4, 3, 2)
    merged = merge(gather, gather.gather(old), old)
    assert merged.dtype == dtype
    torch.testing.assert_close(merged, old, rtol=4 * torch.finfo(torch.float32).eps, atol=0)


def test_removed_entries_return_and_survivors_keep_their_training() -> None:
    old = tensor()
    new = KEEP.gather(old) + 1
    wanted = old.clone()
    for row in (3, 0):
        wanted[row, 1:] += 1
    torch.testing.assert_close(merge(KEEP, new, old), wanted)


def test_copies_become_their_mean_and_shares_their_sum() -> None:
    old = tensor()
    new = torch.randn(6, 3, 2, dtype=torch.float64)
    merged = merge(COPIES, new, old)
    torch.testing.assert_close(merged[1], (new[1] + new[4] + new[5]) / 3)
    assert torch.equal(merged[[0, 2, 3]], new[[0, 2, 3]])
    new = torch.randn(4, 4, 2, dtype=torch.float64)
    merged = merge(SHARES, new, old)
    torch.testing.assert_close(merged[:, 0], new[:, 0] + new[:, 3])
    assert torch.equal(merged[:, 1:], new[:, 1:3])


def test_added_entries_vanish_and_entries_without_weight_return() -> None:
    old = tensor()
    assert torch.equal(merge(WIDER, WIDER.gather(old, fill=7.0), old), old)
    nothing = Gather({0: torch.tensor([0, 1, 2, 3, 3])}, {0: torch.tensor([1.0, 1, 1, 1, -1])})
    trained = nothing.gather(old) * 2
    assert torch.equal(merge(nothing, trained, old), torch.cat([old[:3] * 2, old[3:]]))


def test_merging_keeps_neither_memory_nor_history() -> None:
    old, new = tensor().requires_grad_(), tensor().requires_grad_()
    merged = merge(Gather({}), new, old)
    assert merged.grad_fn is None
    assert merged.data_ptr() != new.data_ptr()


@pytest.mark.parametrize("gather", ALL)
def test_gradients_are_pulled_back_by_the_chain_rule(gather: Gather) -> None:
    old = tensor().requires_grad_()
    new = old
    for dim in range(old.dim()):
        if dim in gather.index:
            index = gather.index[dim]
            shape = [-1 if place == dim else 1 for place in range(old.dim())]
            new = new.index_select(dim, index.clamp(min=0)) * (index >= 0).reshape(shape)
            new = new * gather.scale.get(dim, torch.ones(len(index))).reshape(shape)
    torch.testing.assert_close(new.detach(), gather.gather(old))
    gradient = torch.randn_like(new)
    new.backward(gradient)
    torch.testing.assert_close(pull_back(gather, gradient, old), old.grad)


def test_an_average_follows_what_was_added() -> None:
    old, average = tensor(), tensor() * 0.9 + 0.1
    given = COPIES.gather(old)
    given[4] += 0.25
    given[5] -= 0.25
    edited = follow(COPIES, average, given - COPIES.gather(old))
    torch.testing.assert_close(edited[4], average[1] + 0.25)
    torch.testing.assert_close(edited[5], average[1] - 0.25)
    torch.testing.assert_close(edited[:4], average)
    fresh = WIDER.gather(old, fill=5.0)
    fresh[4:] = 2.5
    assert torch.equal(follow(WIDER, average, fresh - WIDER.gather(old, fill=5.0), fill=5.0)[4:], fresh[4:])
    assert torch.equal(follow(WIDER, average, None, fill=5.0)[4:], torch.full((2, 3, 2), 5.0).double())


def test_without_copies() -> None:
    assert without_copies(COPIES).index[0].tolist() == [0, -1, 2, 3, -1, -1]
    assert without_copies(KEEP).index[0].tolist() == [3, 0]
