"""The tile body of weighted_normal on teams of threads, driven over NumPy arrays."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt import reference
from tests.csrc.build import body_module


@settings(max_examples=15)
@given(
    n=st.sampled_from([1, 31, 32, 33, 150]),
    d=st.sampled_from([1, 5, 31, 32, 33, 70]),
    m=st.sampled_from([1, 3, 31, 33]),
    resident=st.booleans(),
    team=st.sampled_from([1, 2, 7, 32]),
)
def test_body_matches_reference(n: int, d: int, m: int, resident: bool, team: int) -> None:
    rng = np.random.default_rng(d)
    x, q, v = rng.standard_normal((n, 2, d)), rng.standard_normal((n, 2, m)), rng.standard_normal((2, m, d))
    got = body_module("weighted_normal").run(x, q, v, resident, team)
    expected = reference.weighted_normal(*map(torch.from_numpy, (x, q, v)))
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-11, atol=1e-12 * n * d)
