"""The body of lanczos_update on teams of threads, driven over NumPy arrays."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt import reference
from tests.csrc.build import body_module


@settings(max_examples=15)
@given(
    k=st.sampled_from([1, 2, 5]),
    d=st.sampled_from([6, 31, 33]),
    team=st.sampled_from([1, 2, 7, 32]),
    seed=st.integers(0, 20),
)
def test_body_matches_reference(k: int, d: int, team: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(rng.standard_normal((2, d, k)))
    basis, r = q.transpose(0, 2, 1).copy(), rng.standard_normal((2, d))
    got = body_module("lanczos_update").run(basis, r, team)
    expected = reference.lanczos_update(torch.from_numpy(basis), torch.from_numpy(r))
    np.testing.assert_allclose(got, torch.cat([t.flatten() for t in expected]).numpy(), atol=1e-12)
