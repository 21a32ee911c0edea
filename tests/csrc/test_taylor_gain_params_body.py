"""The body of taylor_gain_params on teams of threads, driven over NumPy arrays."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt import reference
from tests.csrc.build import body_module


@settings(max_examples=20)
@given(channels=st.integers(1, 34), n=st.sampled_from([0, 1, 4, 9, 33, 70]), team=st.sampled_from([1, 2, 7, 32]))
def test_body_matches_reference(channels: int, n: int, team: int) -> None:
    a, g = np.random.default_rng(channels).standard_normal((2, channels * n))
    got = body_module("taylor_gain_params").run(a, g, channels, team)
    rows, columns = ([torch.from_numpy(t).view(shape) for t in (a, g)] for shape in ((channels, n), (n, channels)))
    entries = [rows, columns, columns]
    expected = reference.taylor_gain_params([e[0] for e in entries], [e[1] for e in entries], [0, 1, 1])
    np.testing.assert_allclose(got, expected.numpy(), rtol=1e-11, atol=1e-12)
