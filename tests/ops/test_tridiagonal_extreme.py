"""tridiagonal_extreme against dense eigendecompositions."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsculpt import reference
from netsculpt.errors import ShapeError
from netsculpt.ops import tridiagonal_extreme
from tests.ops.conformance import OpConformance


def dense(alpha: torch.Tensor, beta: torch.Tensor) -> torch.Tensor:
    off = beta.double()
    return torch.diag_embed(alpha.double()) + torch.diag_embed(off, 1) + torch.diag_embed(off, -1)


def sample(m: int, k: int, dtype: torch.dtype, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(m, k, generator=generator, dtype=torch.float64).to(dtype),
        torch.randn(m, k - 1, generator=generator, dtype=torch.float64).to(dtype),
    )


def assert_right(alpha: torch.Tensor, beta: torch.Tensor) -> None:
    values, vectors = (t.double() for t in tridiagonal_extreme(alpha, beta))
    expected = reference.tridiagonal_extreme(alpha.double(), beta.double())[0]
    eps = torch.finfo(alpha.dtype).eps
    norm = expected.abs().amax(1, keepdim=True)
    k = alpha.shape[1]
    assert bool(((values - expected).abs() <= 4 * k**0.5 * eps * norm).all())
    residual = (vectors @ dense(alpha, beta) - values[:, :, None] * vectors).norm(dim=2)
    assert bool((residual <= 8 * k**0.5 * eps * norm).all())
    assert bool(((vectors.norm(dim=2) - 1).abs() <= 8 * eps).all())


class TestConformance(OpConformance):
    op = staticmethod(tridiagonal_extreme)
    packet = torch.ops.netsculpt.tridiagonal_extreme.default

    def samples(self, device: str) -> list[tuple[object, ...]]:
        cases = [sample(5, 7, torch.float32), sample(17, 1, torch.float64), sample(0, 3, torch.float32)]
        return [(alpha.to(device), beta.to(device)) for alpha, beta in cases]


@given(
    m=st.integers(0, 35),
    k=st.sampled_from([1, 2, 3, 16, 31, 80]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    exponent=st.sampled_from([-25, 0, 25]),
    seed=st.integers(0, 50),
)
def test_random(m: int, k: int, dtype: torch.dtype, exponent: int, seed: int) -> None:
    alpha, beta = sample(m, k, torch.float64, seed)
    assert_right((alpha * 10.0**exponent).to(dtype), (beta * 10.0**exponent).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("alpha", "beta"),
    [
        ([0.0, 0.0, 0.0], [0.0, 0.0]),
        ([1.0, 1.0, 1.0], [0.0, 0.0]),
        ([3.0, -2.0, 3.0, -2.0], [0.0, 0.0, 0.0]),
        ([0.0] * 9, [1.0] * 8),
        ([10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0], [1.0] * 10),  # like Wilkinson's W, paired values
        ([1.0, 1e-20, 1.0], [1e-20, 1e-20]),
    ],
)
def test_hard_spectra(alpha: list[float], beta: list[float], dtype: torch.dtype, device: str) -> None:
    assert_right(torch.tensor([alpha], dtype=dtype, device=device), torch.tensor([beta], dtype=dtype, device=device))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_poisoned_matrix_gets_nan_and_its_neighbours_do_not(poison: float, dtype: torch.dtype, device: str) -> None:
    alpha, beta = (t.to(device) for t in sample(5, 6, dtype))
    expected = tridiagonal_extreme(alpha, beta)
    for poisoned in ((alpha.clone(), beta), (alpha, beta.clone())):
        poisoned[0 if poisoned[1] is beta else 1][3, 4] = poison
        for got, clean in zip(tridiagonal_extreme(*poisoned), expected, strict=True):
            assert bool(got[3].isnan().all())
            assert torch.equal(got[[0, 1, 2, 4]], clean[[0, 1, 2, 4]])


def test_strides_make_no_difference() -> None:
    alpha, beta = sample(6, 9, torch.float64)
    wide = torch.zeros(6, 20, dtype=torch.float64)
    wide[:, 2:11], wide[:, 11:19] = alpha, beta
    for ours, expected in zip(
        tridiagonal_extreme(wide[:, 2:11], wide[:, 11:19]), tridiagonal_extreme(alpha, beta), strict=True
    ):
        assert torch.equal(ours, expected)


@pytest.mark.parametrize(
    ("alpha", "beta", "message"),
    [
        (torch.ones(3), torch.ones(2), "alpha must be \\[m, k\\] with k ≥ 1, not \\[3\\]"),
        (torch.ones(2, 0), torch.ones(2, 0), "alpha must be \\[m, k\\] with k ≥ 1"),
        (torch.ones(2, 3), torch.ones(2, 3), "beta must be \\[2, 2\\] for this alpha, not \\[2, 3\\]"),
        (torch.ones(2, 3), torch.ones(2, 2).double(), "beta must have alpha's dtype torch.float32"),
        (torch.ones(2, 3).half(), torch.ones(2, 2).half(), "alpha must be float32 or float64"),
    ],
)
def test_bad_input_is_one_sentence(alpha: torch.Tensor, beta: torch.Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        tridiagonal_extreme(alpha, beta)
