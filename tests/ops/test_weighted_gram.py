"""weighted_gram against its reference, and as the second derivative that it stands for."""

import pytest
import torch
from hypothesis import given

from netsculpt import reference
from netsculpt.errors import BackwardError, ShapeError
from netsculpt.ops import weighted_gram
from tests.ops.conformance import OpConformance
from tests.ops.weighted_samples import DTYPES, draw, dtypes, layouts, rows, sizes, sum_error, vectors

SHAPES = [(40, 0, 9, 5), (33, 3, 4, 2), (0, 0, 3, 2), (5, 2, 0, 3), (5, 0, 3, 0)]


def inputs(
    n: int, g: int, d: int, m: int, dtype: torch.dtype, device: str = "cpu"
) -> tuple[torch.Tensor, torch.Tensor]:
    return draw(rows(n, g, d), dtype, device=device), draw(rows(n, g, m), dtype, device=device, seed=1)


class TestConformance(OpConformance):
    op = staticmethod(weighted_gram)
    packet = torch.ops.netsculpt.weighted_gram.default

    def samples(self, device: str) -> list[tuple[object, ...]]:
        return [inputs(*shape, DTYPES[i % 4], device) for i, shape in enumerate(SHAPES)]


def assert_close(got: torch.Tensor, x: torch.Tensor, q: torch.Tensor, times: int = 1) -> None:
    eps = torch.finfo(torch.float64 if x.dtype == torch.float64 else torch.float32).eps
    expected = times * reference.weighted_gram(x.double(), q.double())
    scale = times * reference.weighted_gram(x.double().abs(), q.double().abs())
    bound = sum_error(x.shape[0], got.dtype if x.dtype == torch.float64 else torch.float32) * scale
    assert bool(((got.double() - expected).abs() <= bound + eps * scale).all())
    assert torch.equal(got, got.mT)


@given(size=sizes, dtype=dtypes, x_layout=layouts, q_layout=layouts)
def test_matches_reference(size: dict[str, int], dtype: torch.dtype, x_layout: str, q_layout: str) -> None:
    n, g, d, m = size["n"], size["g"], size["d"], size["m"]
    x, q = draw(rows(n, g, d), dtype, x_layout), draw(rows(n, g, m), dtype, q_layout, seed=1)
    got = weighted_gram(x, q)
    assert got.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert list(got.shape) == [*vectors(g, m, d), d]
    assert_close(got, x, q)


def test_matches_reference_on_device(device: str) -> None:
    for n, g, d, m in [(3000, 0, 27, 65), (700, 5, 9, 1), (2100, 0, 40, 3)]:
        for dtype in DTYPES:
            x, q = inputs(n, g, d, m, dtype, device)
            assert_close(weighted_gram(x, q), x, q)


@pytest.mark.parametrize("dtype", DTYPES)
def test_accumulates_over_batches(dtype: torch.dtype, device: str) -> None:
    x, q = inputs(5000, 0, 11, 3, dtype, device)
    out = torch.full((3, 11, 11), torch.nan, dtype=torch.float64, device=device)
    assert weighted_gram(x, q, out=out) is out
    weighted_gram(x, q, out=out, accumulate=True)
    assert_close(out, x, q, times=2)
    narrow = torch.full((3, 11, 11), torch.nan, device=device)
    if dtype != torch.float64:
        weighted_gram(x, q, out=narrow)
        weighted_gram(x, q, out=narrow, accumulate=True)
        assert_close(narrow, x, q, times=2)


def test_no_rows_add_nothing(device: str) -> None:
    x, q = torch.ones(0, 3, device=device), torch.ones(0, 2, device=device)
    out = torch.ones(2, 3, 3, device=device)
    assert torch.equal(weighted_gram(x, q, out=out, accumulate=True), torch.ones_like(out))
    assert torch.equal(weighted_gram(x, q, out=out), torch.zeros_like(out))


def test_float64_sums_of_float32_rows_keep_small_terms(device: str) -> None:
    """A trillion and ones: float32 sums would lose the ones that come in later blocks."""
    x, q = torch.ones(4097, 1, device=device), torch.ones(4097, 1, device=device)
    q[0] = 2.0**40
    out = torch.zeros(1, 1, 1, dtype=torch.float64, device=device)
    rest = weighted_gram(x, q, out=out).item() - 2.0**40
    assert 4096 - 1024 <= rest <= 4096  # at most the block of the large term may lose its ones


def test_same_bits_for_any_number_of_threads() -> None:
    x, q = inputs(6000, 0, 30, 17, torch.float32)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = weighted_gram(x, q)
        torch.set_num_threads(3)
        assert torch.equal(one, weighted_gram(x, q))
    finally:
        torch.set_num_threads(threads)


def test_is_the_second_derivative_of_a_loss(device: str) -> None:
    """The Hessian of ``sum_p g_p sigma(theta·x_p)`` in theta is S with ``q = g sigma''``."""
    x = torch.randn(50, 4, dtype=torch.float64, device=device)
    g, theta = torch.randn(50, dtype=torch.float64, device=device), torch.randn(4, dtype=torch.float64, device=device)
    hessian = torch.autograd.functional.hessian(lambda t: (g * torch.tanh(x @ t)).sum(), theta)
    z = torch.tanh(x @ theta)
    torch.testing.assert_close(weighted_gram(x, (g * -2 * z * (1 - z * z)).unsqueeze(1))[0], hessian)


def test_out_opcheck(device: str) -> None:
    x, q = inputs(40, 2, 5, 3, torch.float32, device)
    for out in (torch.zeros(2, 3, 5, 5, device=device), torch.zeros(2, 3, 5, 5, dtype=torch.float64, device=device)):
        kwargs = {"accumulate": True, "out": out}
        torch.library.opcheck(torch.ops.netsculpt.weighted_gram.out, (x, q), kwargs)


def test_out_compiles_without_graph_break(device: str) -> None:
    x, q = inputs(40, 0, 5, 3, torch.float32, device)
    compiled = torch.compile(
        lambda out: weighted_gram(x, q, out=out, accumulate=True) + 1, fullgraph=True, backend="aot_eager"
    )
    out = torch.zeros(3, 5, 5, device=device)
    assert torch.equal(compiled(out), weighted_gram(x, q) + 1)
    assert torch.equal(out, weighted_gram(x, q))


def test_out_refuses_gradients() -> None:
    x, q, out = torch.ones(3, 2, requires_grad=True), torch.ones(3, 1), torch.zeros(1, 2, 2)
    with pytest.raises(BackwardError, match="weighted_gram has no backward"):
        weighted_gram(x, q, out=out)
    with torch.no_grad():
        weighted_gram(x, q, out=out)


X, Q, OUT = torch.ones(4, 3), torch.ones(4, 2), torch.zeros(2, 3, 3)


@pytest.mark.parametrize(
    ("x", "q", "out", "message"),
    [
        (torch.ones(4), Q, None, "x must be \\[n, d\\] or \\[n, g, d\\], not \\[4\\]"),
        (X.int(), Q.int(), None, "x must be float32, float64, bfloat16 or float16, not torch.int32"),
        (X, torch.ones(5, 2), None, "q must be \\[4, m\\] like x's rows, not \\[5, 2\\]"),
        (torch.ones(4, 2, 3), torch.ones(4, 3, 2), None, "q must be \\[4, 2, m\\] like x's rows, not \\[4, 3, 2\\]"),
        (X, Q.double(), None, "q must have x's dtype torch.float32, not torch.float64"),
        (X, Q, torch.zeros(2, 3, 4), "out must be \\[2, 3, 3\\], not \\[2, 3, 4\\]"),
        (X, Q, torch.zeros(3, 3, 2).permute(2, 0, 1), "out must be contiguous"),
        (X, Q, OUT.half(), "out must be torch.float32 or torch.float64 for x of torch.float32, not torch.float16"),
        (X.double(), Q.double(), OUT, "out must be torch.float64 for x of torch.float64, not torch.float32"),
    ],
)
def test_bad_input_is_one_sentence(x: torch.Tensor, q: torch.Tensor, out: torch.Tensor | None, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        weighted_gram(x, q, out=out)


def test_accumulate_needs_out() -> None:
    with pytest.raises(ShapeError, match="accumulate needs out"):
        weighted_gram(X, Q, accumulate=True)
