"""The body of coupled_gram on teams of threads, driven over NumPy arrays."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt import reference
from tests.csrc.build import body_module


@settings(max_examples=15)
@given(units=st.integers(1, 34), places=st.sampled_from([1, 4, 9]), team=st.sampled_from([1, 2, 7, 32]))
def test_body_matches_reference(units: int, places: int, team: int) -> None:
    rng = np.random.default_rng(units)
    a, b = rng.standard_normal((2, units * places, units * places))
    cov, weights = a + a.T, b + b.T
    got = body_module("coupled_gram").run(cov, weights, places, team)
    expected = reference.coupled_gram(torch.from_numpy(cov), torch.from_numpy(weights), places)
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-12, atol=1e-12 * units * places)
