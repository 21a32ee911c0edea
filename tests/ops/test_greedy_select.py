"""greedy_select against its reference, and the theory that it is built on."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsculpt import reference
from netsculpt.errors import ArgumentError
from netsculpt.ops import Selection, greedy_select
from tests.ops.conformance import OpConformance

MODES = ("uniform", "line_search", "least_squares")
DTYPES = (torch.float32, torch.float64)


def contributions(units: int, rows: int, seed: int = 0, batch: tuple[int, ...] = ()) -> torch.Tensor:
    """[*batch, units, rows] float64: what each unit adds, over the data."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*batch, units, rows, dtype=torch.float64, generator=generator)


def gram_of(c: torch.Tensor, dtype: torch.dtype = torch.float64, device: str = "cpu") -> torch.Tensor:
    k = c @ c.mT
    return ((k + k.mT) / 2).to(device, dtype)


def relu_gram(units: int, dtype: torch.dtype, points: int = 600, inputs: int = 8) -> torch.Tensor:
    """Strongly correlated units, as in a layer."""
    x, w = contributions(points, inputs), contributions(units, inputs, 1)
    return gram_of(torch.relu(w @ x.mT + 0.3), dtype) / points


class TestConformance(OpConformance):
    op = staticmethod(greedy_select)
    packet = torch.ops.netsculpt.greedy_select.default

    def samples(self, device: str) -> list[tuple[Any, ...]]:
        k32, k64 = (gram_of(contributions(n, 30, n, (2,)), t, device) for n, t in ((17, DTYPES[0]), (40, DTYPES[1])))
        target, energy = torch.ones(2, 17, device=device), torch.full((2,), 40.0, device=device)
        lengths = torch.tensor([40, 5], device=device)
        cost = torch.linspace(1, 2, 80, device=device).view(2, 40)
        empty = torch.zeros(1, 0, 0, device=device)
        return [
            (k32, target, energy, None, None, 6, "least_squares", False, 0.5, 0.0),
            (k64, None, None, lengths, cost, 9, "uniform", True, 0.0, 0.0),
            (k64, None, None, lengths, cost, 9, "line_search", True, 0.0, 0.1),
            (k64, None, None, lengths, None, 9, "least_squares", False, 0.0, 0.0),
            (empty, None, None, None, None, 3, "uniform", True, 0.0, 0.0),
        ]


@given(
    units=st.integers(0, 40),
    batch=st.integers(0, 3),
    k=st.integers(0, 45),
    mode=st.sampled_from(MODES),
    dtype=st.sampled_from(DTYPES),
    flags=st.tuples(*[st.booleans()] * 4),
    padding=st.integers(0, 3),
)
def test_matches_reference(
    units: int, batch: int, k: int, mode: str, dtype: torch.dtype, flags: tuple[bool, ...], padding: int
) -> None:
    again, priced, aimed, cut = flags
    # As many rows as make every unit independent; the gram matrix has a stride.
    wide = torch.zeros(batch, units, units + padding, dtype=dtype)
    wide[..., :units] = gram_of(contributions(units, 2 * units + 4, units, (batch,)), dtype)
    gram = wide[..., :units]
    uniform = torch.rand(batch, 2 * units + 1, generator=torch.Generator().manual_seed(k))
    target, energy = (gram.double().sum(2) * 0.7 + uniform[:, :units], 100.0 * units + uniform[:, -1])
    cost = 0.5 + uniform[:, units : 2 * units]
    lengths = (uniform[:, -1] * (units + 1)).long()
    repeats = again and mode != "least_squares"
    args = (
        gram,
        target.to(dtype) if aimed else None,
        energy.to(dtype) if aimed else None,
        lengths if cut else None,
        cost if priced else None,
        k,
        mode,
        repeats,
        0.3 if again and not repeats else 0.0,
        0.0,
    )
    got, expected = torch.ops.netsculpt.greedy_select(*args), reference.greedy_select(*args)
    scale = (100.0 if aimed else 1.0) * (units + 1) ** 2
    if mode == "least_squares" and dtype == torch.float32:
        # The factor is stored in float32: two candidates within its rounding may change places.
        torch.testing.assert_close(got[2][:, :1], expected[2][:, :1], rtol=0, atol=1e-12 * scale)
        assert bool((got[2].diff(dim=1) <= 0).all())
        assert torch.equal(got[0] >= 0, expected[0] >= 0)
        return
    torch.testing.assert_close(got[2], expected[2], rtol=0, atol=1e-11 * scale)
    # Choices are clear until the first that lowers the error by no more than rounding might.
    clear = torch.ones_like(got[0])
    if mode != "uniform":
        clear[:, 1:] = expected[2].diff(dim=1) < -1e-9 * scale
    clear = clear.cumprod(1).bool()
    assert torch.equal(got[0][clear], expected[0][clear])
    if bool(clear.all()):
        weight_scale = max([1.0, *expected[1].abs().flatten().tolist()])
        torch.testing.assert_close(got[1], expected[1], rtol=0, atol=1e3 * torch.finfo(dtype).eps * weight_scale)


@pytest.mark.parametrize("mode", MODES)
def test_lowest_index_wins_ties(mode: Any, device: str) -> None:
    """Whole numbers, so that equal candidates are equal to the bit; every unit comes three times."""
    c = torch.randint(-3, 4, (21, 50), generator=torch.Generator().manual_seed(1)).double() + 1
    gram = gram_of(c.repeat(3, 1), torch.float64, device)
    order = greedy_select(gram, 40, mode=mode).order
    assert int(order.max()) < 21
    if mode == "uniform":
        once = greedy_select(gram, 63, repeats=False).order.tolist()
        assert sorted(once) == list(range(63))
        assert all(once.index(i) < once.index(i + 21) < once.index(i + 42) for i in range(21))


@pytest.mark.parametrize("mode", MODES)
def test_lengths_equal_slicing(mode: Any, device: str) -> None:
    gram = gram_of(contributions(37, 50, 0, (4,)), torch.float64, device)
    gram[1, 30, 2] = torch.nan  # outside the problem
    lengths = torch.tensor([37, 20, 0, 1], device=device)
    together = greedy_select(gram, 12, lengths=lengths, mode=mode)
    for b, n in enumerate(lengths.tolist()):
        alone = greedy_select(gram[b, :n, :n], 12, mode=mode)
        assert torch.equal(together.order[b], alone.order)
        assert torch.equal(together.errors[b], alone.errors)
        assert torch.equal(together.weights[b, :n], alone.weights)
        assert not together.weights[b, n:].any()


@pytest.mark.parametrize("mode", MODES)
def test_cost_decides(mode: Any, device: str) -> None:
    gram = torch.diag(torch.tensor([4.0, 5.0, 1.0], device=device))
    target, energy = torch.tensor([4.0, 5.0, 1.0], device=device), torch.tensor(10.0, device=device)
    cost = torch.tensor([1.0, 2.0, 0.1], device=device)
    if mode != "least_squares":  # make the vertices the units themselves
        gram, target = gram / 9, target / 3
    without = greedy_select(gram, 1, target=target, target_energy=energy, mode=mode)
    priced = greedy_select(gram, 1, target=target, target_energy=energy, cost=cost, mode=mode)
    assert (without.order.item(), priced.order.item()) == (1, 2)


@pytest.mark.parametrize("mode", MODES)
def test_tolerance_stops(mode: Any, device: str) -> None:
    gram = gram_of(contributions(60, 12) + 0.5, torch.float64, device)
    full = greedy_select(gram, 30, mode=mode)
    limit = 0.01 * float(gram.sum())
    steps = int((full.errors > limit).sum()) + 1
    assert 1 < steps < 30
    stopped = greedy_select(gram, 30, mode=mode, tolerance=0.01)
    assert torch.equal(stopped.order[:steps], full.order[:steps])
    assert stopped.order[steps:].tolist() == [-1] * (30 - steps)
    assert torch.equal(stopped.errors[steps:], full.errors[steps - 1].expand(30 - steps))
    assert torch.equal(stopped.weights, greedy_select(gram, steps, mode=mode).weights)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rank", [1, 20, 100])
def test_least_squares_stops_when_nothing_independent_is_left(dtype: torch.dtype, rank: int, device: str) -> None:
    for scales in (0, -3):  # orders of magnitude between the units
        scale = torch.logspace(0, scales, 200, dtype=torch.float64)[:, None]
        selection = greedy_select(gram_of(contributions(200, rank) * scale, dtype, device), 150, mode="least_squares")
        assert int((selection.order >= 0).sum()) == rank
        assert float(selection.weights.abs().max()) < 1e5
        assert torch.equal(selection.errors[rank:], selection.errors[rank - 1].expand(150 - rank))


@pytest.mark.parametrize("mode", MODES)
def test_degenerate_problems_are_answered(mode: Any, device: str) -> None:
    none = greedy_select(torch.zeros(0, 0, device=device), 3, mode=mode)
    assert none.order.tolist() == [-1] * 3
    assert none.errors.tolist() == [0] * 3
    assert greedy_select(torch.ones(2, 4, 4, device=device), 0, mode=mode).order.shape == (2, 0)
    assert greedy_select(torch.ones(0, 4, 4, device=device), 2, mode=mode).order.shape == (0, 2)
    one = greedy_select(torch.full((1, 1), 3.0, device=device), 2, mode=mode)
    assert one.order.tolist() == [0, 0 if mode == "uniform" else -1]
    assert one.errors.tolist() == [0, 0]
    assert one.weights.item() == 1
    zero = greedy_select(torch.zeros(5, 5, device=device), 3, mode=mode)
    assert zero.order.tolist() == {"uniform": [0] * 3, "line_search": [0, -1, -1], "least_squares": [-1] * 3}[mode]
    assert zero.errors.tolist() == [0] * 3


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_change_nothing(mode: Any, dtype: torch.dtype) -> None:
    for gram in (relu_gram(500, dtype), gram_of(contributions(70, 90, 0, (5,)), dtype)):
        answers: list[Selection] = []
        for threads in (1, 2, 3, 8):
            before = torch.get_num_threads()
            torch.set_num_threads(threads)
            answers.append(greedy_select(gram, 50, mode=mode))
            torch.set_num_threads(before)
        for other in answers[1:]:
            assert all(torch.equal(a, b) for a, b in zip(answers[0], other, strict=True))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("mode", MODES)
def test_bad_values_name_the_problem(mode: Any, bad: float, device: str) -> None:
    gram = gram_of(contributions(20, 30, 0, (3,)), torch.float32, device)
    args: dict[str, Any] = {"k": 3, "mode": mode}
    broken = gram.clone()
    broken[2, 19, 7] = bad
    with pytest.raises(RuntimeError, match="gram has a NaN or an infinity in problem 2"):
        greedy_select(broken, **args)
    target, energy = gram.sum(2), gram.sum((1, 2))
    energy[1] = bad
    with pytest.raises(RuntimeError, match="target or target_energy has a NaN or an infinity in problem 1"):
        greedy_select(gram, target=target, target_energy=energy, **args)
    cost = torch.ones(3, 20, device=device)
    cost[1, 4] = bad
    with pytest.raises(RuntimeError, match="cost must be positive and finite in problem 1"):
        greedy_select(gram, cost=cost, **args)
    with pytest.raises(RuntimeError, match="lengths must be between 0 and N in problem 0"):
        greedy_select(gram, lengths=torch.tensor([21, 1, 1], device=device), **args)


K = torch.eye(4)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"gram": torch.ones(4, 3)}, "gram must be \\[B, N, N\\], not \\[4, 3\\]"),
        ({"gram": K.int()}, "gram must be float32 or float64, not torch.int32"),
        ({"k": -1}, "k must be at least 0, not -1"),
        ({"mode": "best"}, "mode must be one of uniform, line_search, least_squares, not 'best'"),
        ({"ridge": 0.1}, "ridge is for mode least_squares, not uniform"),
        ({"ridge": -0.1, "mode": "least_squares"}, "ridge and tolerance must be at least 0, not -0.1 and 0.0"),
        ({"repeats": True, "mode": "least_squares"}, "repeats must be False or None with mode least_squares"),
        ({"target": torch.ones(4)}, "target and target_energy must be given together"),
        ({"target": torch.ones(3), "target_energy": torch.tensor(1.0)}, "target must be \\[4\\], not \\[3\\]"),
        ({"target": torch.ones(4), "target_energy": torch.ones(1)}, "target_energy must be \\[\\], not \\[1\\]"),
        ({"cost": torch.ones(4).int()}, "cost must be float32 or float64, not torch.int32"),
        ({"lengths": torch.tensor(4.0)}, "lengths must be int64, not torch.float32"),
        ({"lengths": torch.tensor([4])}, "lengths must be \\[\\], not \\[1\\]"),
    ],
)
def test_bad_input_is_one_sentence(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        greedy_select(**{"gram": K, "k": 2, **args})
