"""weighted_normal against its reference, and against the matrices that it never forms."""

import pytest
import torch
from hypothesis import given

from netsculpt import reference
from netsculpt.errors import ShapeError
from netsculpt.ops import weighted_gram, weighted_normal
from tests.ops.conformance import OpConformance
from tests.ops.weighted_samples import DTYPES, draw, dtypes, layouts, rows, sizes, sum_error, vectors

Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
SHAPES = [(40, 0, 9, 5), (33, 3, 4, 2), (0, 0, 3, 2), (5, 2, 0, 3), (5, 0, 3, 0)]


def inputs(n: int, g: int, d: int, m: int, dtype: torch.dtype, device: str = "cpu") -> Tensors:
    x, q = draw(rows(n, g, d), dtype, device=device), draw(rows(n, g, m), dtype, device=device, seed=1)
    return x, q, draw(vectors(g, m, d), dtype, device=device, seed=2)


class TestConformance(OpConformance):
    op = staticmethod(weighted_normal)
    packet = torch.ops.netsculpt.weighted_normal.default

    def samples(self, device: str) -> list[tuple[object, ...]]:
        return [inputs(*shape, DTYPES[i % 4], device) for i, shape in enumerate(SHAPES)]


def assert_close(got: torch.Tensor, x: torch.Tensor, q: torch.Tensor, v: torch.Tensor) -> None:
    expected = reference.weighted_normal(x.double(), q.double(), v.double())
    scale = reference.weighted_normal(x.double().abs(), q.double().abs(), v.double().abs())
    bound = (sum_error(x.shape[0], got.dtype) + (x.shape[-1] + 2) * torch.finfo(got.dtype).eps) * scale
    assert bool(((got.double() - expected).abs() <= bound).all())


@given(size=sizes, dtype=dtypes, x_layout=layouts, q_layout=layouts, v_layout=layouts)
def test_matches_reference(
    size: dict[str, int], dtype: torch.dtype, x_layout: str, q_layout: str, v_layout: str
) -> None:
    n, g, d, m = size["n"], size["g"], size["d"], size["m"]
    x, q = draw(rows(n, g, d), dtype, x_layout), draw(rows(n, g, m), dtype, q_layout, seed=1)
    result = torch.float64 if dtype == torch.float64 else torch.float32
    for v_dtype in {dtype, result}:
        v = draw(vectors(g, m, d), v_dtype, v_layout, seed=2)
        got = weighted_normal(x, q, v)
        assert got.dtype == result and got.shape == v.shape
        assert_close(got, x, q, v)


def test_matches_reference_on_device(device: str) -> None:
    for n, g, d, m in [(3000, 0, 27, 65), (700, 5, 9, 1), (900, 0, 150, 3), (300, 0, 1030, 70)]:
        for dtype in DTYPES:
            x, q, v = inputs(n, g, d, m, dtype, device)
            assert_close(weighted_normal(x, q, v), x, q, v)


def test_multiplies_by_the_gram_matrices(device: str) -> None:
    x, q, v = inputs(400, 2, 12, 5, torch.float64, device)
    expected = (weighted_gram(x, q) @ v.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(weighted_normal(x, q, v), expected)


def test_same_bits_for_any_number_of_threads() -> None:
    args = inputs(6000, 0, 30, 17, torch.float32)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = weighted_normal(*args)
        torch.set_num_threads(3)
        assert torch.equal(one, weighted_normal(*args))
    finally:
        torch.set_num_threads(threads)


X, Q, V = torch.ones(4, 3), torch.ones(4, 2), torch.ones(2, 3)


@pytest.mark.parametrize(
    ("x", "q", "v", "message"),
    [
        (torch.ones(4), Q, V, "x must be \\[n, d\\] or \\[n, g, d\\], not \\[4\\]"),
        (X, torch.ones(4, 1, 2), V, "q must be \\[4, m\\] like x's rows, not \\[4, 1, 2\\]"),
        (X, Q.half(), V, "q must have x's dtype torch.float32, not torch.float16"),
        (X, Q, torch.ones(3, 2), "v must be \\[2, 3\\], not \\[3, 2\\]"),
        (X, Q, V.double(), "v must be torch.float32 for x of torch.float32, not torch.float64"),
        (X.half(), Q.half(), V.bfloat16(), "v must be torch.float16 or torch.float32 for x of torch.float16"),
    ],
)
def test_bad_input_is_one_sentence(x: torch.Tensor, q: torch.Tensor, v: torch.Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        weighted_normal(x, q, v)
