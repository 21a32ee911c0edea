"""coupled_gram against its reference, and through the patches and weights that it is made for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsculpt import reference
from netsculpt.errors import ShapeError
from netsculpt.ops import coupled_gram
from tests.ops.conformance import OpConformance


def symmetric(size: int, dtype: torch.dtype, device: str = "cpu", seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    m = torch.randn(size, size, dtype=torch.float64, generator=generator)
    return (m + m.mT).to(device, dtype)


class TestConformance(OpConformance):
    op = staticmethod(coupled_gram)
    packet = torch.ops.netsculpt.coupled_gram.default

    def samples(self, device: str) -> list[tuple[object, ...]]:
        cases = [(12, 3, torch.float32), (7, 1, torch.float64), (0, 1, torch.float32), (9, 9, torch.float64)]
        return [(symmetric(n, t, device), symmetric(n, t, device, 1), places) for n, places, t in cases]


@given(
    units=st.integers(0, 40),
    places=st.sampled_from([1, 2, 3, 4, 9, 25]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    padding=st.integers(0, 3),
)
def test_matches_reference(units: int, places: int, dtype: torch.dtype, padding: int) -> None:
    size = units * places
    wide = torch.zeros(size, size + padding, dtype=dtype)  # rows with a stride
    wide[:, :size] = symmetric(size, dtype)
    cov, weights = wide[:, :size], symmetric(size, dtype, seed=1)
    got = coupled_gram(cov, weights, places)
    expected = reference.coupled_gram(cov.double(), weights.double(), places)
    scale = reference.coupled_gram(cov.double().abs(), weights.double().abs(), places)
    eps = torch.finfo(dtype).eps
    assert got.dtype == dtype
    assert bool(((got.double() - expected).abs() <= 2 * eps * scale).all())
    assert torch.equal(got, got.mT)


def test_is_the_gram_matrix_of_a_convolution(device: str) -> None:
    """``K[i, j] = <c_i, c_j>``, where c_i is what input channel i adds to the convolution's output."""
    x = torch.randn(3, 5, 6, 6, dtype=torch.float64, device=device)
    w = torch.randn(4, 5, 3, 3, dtype=torch.float64, device=device)
    each = torch.stack([torch.nn.functional.conv2d(x[:, [i]], w[:, [i]]).flatten() for i in range(5)])
    patches = torch.nn.functional.unfold(x, 3).transpose(1, 2).reshape(-1, 45)
    rows = w.reshape(4, 45)
    torch.testing.assert_close(coupled_gram(patches.mT @ patches, rows.mT @ rows, 9), each @ each.mT)


@pytest.mark.parametrize(
    ("cov", "weights", "places", "message"),
    [
        (torch.ones(4, 3), torch.ones(4, 4), 1, "cov must be a square matrix, not \\[4, 3\\]"),
        (torch.ones(4, 4), torch.ones(3, 3), 1, "weights must have cov's shape \\[4, 4\\], not \\[3, 3\\]"),
        (torch.ones(4, 4), torch.ones(4, 4), 3, "places must divide cov's size 4, not 3"),
        (torch.ones(4, 4), torch.ones(4, 4), 0, "places must divide cov's size 4, not 0"),
        (torch.ones(4, 4).int(), torch.ones(4, 4).int(), 1, "cov must be float32 or float64, not torch.int32"),
        (torch.ones(4, 4), torch.ones(4, 4).double(), 1, "weights must have cov's dtype torch.float32"),
    ],
)
def test_bad_input_is_one_sentence(cov: torch.Tensor, weights: torch.Tensor, places: int, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        coupled_gram(cov, weights, places)
