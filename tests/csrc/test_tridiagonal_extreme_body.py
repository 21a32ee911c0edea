"""The body of tridiagonal_extreme on teams of threads, driven over NumPy arrays."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt import reference
from tests.csrc.build import body_module


@settings(max_examples=15)
@given(k=st.sampled_from([1, 2, 3, 31, 40]), team=st.sampled_from([1, 2, 7, 32]), seed=st.integers(0, 20))
def test_body_matches_reference(k: int, team: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    alpha, beta = rng.standard_normal((3, k)), rng.standard_normal((3, k - 1))
    values, vectors = body_module("tridiagonal_extreme").run(alpha, beta, team)
    expected = reference.tridiagonal_extreme(torch.from_numpy(alpha), torch.from_numpy(beta))
    np.testing.assert_allclose(values, expected[0].numpy(), atol=1e-13)
    overlap = np.abs((vectors * expected[1].numpy()).sum(2))
    np.testing.assert_allclose(overlap, 1, rtol=1e-6)
