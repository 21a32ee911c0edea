"""The tile body of weighted_gram on teams of threads, driven over NumPy arrays."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt import reference
from tests.csrc.build import body_module


@settings(max_examples=15)
@given(
    n=st.sampled_from([0, 1, 31, 33, 1030]),
    d=st.integers(1, 35),
    m=st.integers(1, 18),
    team=st.sampled_from([1, 2, 7, 32]),
)
def test_body_matches_reference(n: int, d: int, m: int, team: int) -> None:
    rng = np.random.default_rng(d)
    x, q = rng.standard_normal((n, 2, d)), rng.standard_normal((n, 2, m))
    got = body_module("weighted_gram").run(x, q, team)
    expected = reference.weighted_gram(torch.from_numpy(x), torch.from_numpy(q))
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-12, atol=1e-13 * (n + 1))
