"""The body of eigh_extreme on teams of threads, driven over NumPy arrays."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.csrc.build import body_module


@settings(max_examples=15)
@given(d=st.sampled_from([1, 2, 3, 8, 33]), team=st.sampled_from([1, 2, 7, 32]), seed=st.integers(0, 20))
def test_body_finds_the_extreme_pairs(d: int, team: int, seed: int) -> None:
    a = np.random.default_rng(seed).standard_normal((2, d, d))
    s = a + a.transpose(0, 2, 1)
    values, vectors, residuals, status = body_module("eigh_extreme").run(s, team)
    exact = np.linalg.eigvalsh(s)
    norm = np.abs(exact).max(1, keepdims=True)
    assert status == [0, 0]
    assert np.all(np.abs(values - exact[:, [0, -1]]) <= 1e-13 * norm)
    true = np.linalg.norm(vectors @ s - values[:, :, None] * vectors, axis=2) / norm
    np.testing.assert_allclose(residuals, true, atol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, rtol=1e-14)


def test_body_reports_what_it_cannot_answer() -> None:
    s = np.eye(4)[None].repeat(3, 0)
    s[1, 2, 0] = np.nan
    assert body_module("eigh_extreme").run(s, 7)[3] == [0, 2, 0]
