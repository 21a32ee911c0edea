"""The bodies of taylor_gain on teams of threads, driven over NumPy arrays."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt import reference
from tests.csrc.build import body_module


@settings(max_examples=30)
@given(
    samples=st.integers(0, 12),
    channels=st.integers(1, 20),
    positions=st.sampled_from([0, 1, 2, 7, 33, 64]),
    per_piece=st.sampled_from([1, 16, 33, 1000]),
    by_row=st.booleans(),
    team=st.sampled_from([1, 2, 7, 32]),
)
def test_body_matches_reference(
    samples: int, channels: int, positions: int, per_piece: int, by_row: bool, team: int
) -> None:
    shape = (samples, channels, positions) if by_row else (samples, positions, channels)
    a, g = np.random.default_rng(samples).standard_normal((2, *shape))
    got = body_module("taylor_gain").run(a, g, per_piece, by_row, team)
    channels_first = [torch.from_numpy(t if by_row else t.swapaxes(1, 2)) for t in (a, g)]
    expected = reference.taylor_gain(*channels_first)
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-11, atol=1e-13 * (1 + samples * positions))
