"""The body of greedy_select on teams of threads, and the CPU op's crew, driven over NumPy arrays."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt import reference
from tests.csrc.build import body_module

MODES = ("uniform", "line_search", "least_squares")


def gram(batch: int, units: int) -> np.ndarray:
    features = np.random.default_rng(units).standard_normal((batch, 2 * units + 3, units))
    return np.swapaxes(features, 1, 2) @ features


@settings(max_examples=30)
@given(
    units=st.integers(1, 34),
    steps=st.integers(0, 40),
    mode=st.sampled_from([0, 1, 2]),
    team=st.sampled_from([1, 2, 7, 32]),
    again=st.booleans(),
    priced=st.booleans(),
)
def test_body_matches_reference(units: int, steps: int, mode: int, team: int, again: bool, priced: bool) -> None:
    repeats, ridge = again and mode != 2, 0.1 if again and mode == 2 else 0.0
    k = gram(2, units)
    cost = 0.5 + np.random.default_rng(1).random((2, units)) if priced else None
    costs = None if cost is None else torch.from_numpy(cost)
    expected = reference.greedy_select(
        torch.from_numpy(k), None, None, None, costs, steps, MODES[mode], repeats, ridge, 0.0
    )
    energy = k.sum((1, 2), keepdims=True)[:, 0]
    for crew in (False, True) if mode == 2 else (False,):
        order, weights, errors, status = body_module("greedy_select").run(
            k, cost, steps, mode, repeats, ridge, team, crew
        )
        assert not status.any()
        np.testing.assert_array_equal(order, expected[0].numpy())
        np.testing.assert_allclose(weights, expected[1].numpy(), rtol=1e-8, atol=1e-8)
        assert (abs(errors - expected[2].numpy()) <= 1e-12 * units * energy).all()


@pytest.mark.parametrize("team", [1, 7])
@pytest.mark.parametrize("mode", [0, 1, 2])
def test_body_reports_what_it_cannot_work_with(team: int, mode: int) -> None:
    k = gram(3, 9)
    k[1, 8, 2] = np.nan
    cost = np.ones((3, 9))
    cost[2, 4] = 0
    *_, status = body_module("greedy_select").run(k, cost, 4, mode, False, 0.0, team, False)
    assert status.tolist() == [0, 2, 4]


@pytest.mark.parametrize("crew", [1, 2, 7])
def test_crew_gives_the_same_bits_for_any_size(crew: int) -> None:
    k = gram(1, 300)  # more parts than panels, and a panel that is not full
    alone = body_module("greedy_select").run(k, None, 60, 2, False, 0.0, 1, True)
    together = body_module("greedy_select").run(k, None, 60, 2, False, 0.0, crew, True)
    for ours, expected in zip(together, alone, strict=True):
        np.testing.assert_array_equal(ours, expected)
