"""eigh_extreme: invariants, hard spectra, and what it does with input that has no answer."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt import reference
from netsculpt.errors import ArgumentError, ShapeError
from netsculpt.ops import eigh_extreme
from netsculpt.ops.eigh_extreme import DEFAULT_TOL, reachable_tol
from tests.ops.conformance import OpConformance

SIZES = [1, 2, 3, 5, 16, 27, 64, 112, 113, 144, 200]  # 112 is the last size that goes through the lanes


def random_symmetric(m: int, d: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> torch.Tensor:
    a = torch.randn(m, d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (a + a.mT).to(dtype)


def with_spectrum(values: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """One symmetric matrix with these eigenvalues and random eigenvectors."""
    d = len(values)
    q, _ = torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)))
    s = (q * values.double()) @ q.mT
    return (s + s.mT) / 2


def assert_right(s: torch.Tensor, tol: float | None = None) -> None:
    """Residuals are within the tolerance and honest, vectors are unit, and values are the extreme ones."""
    tol = DEFAULT_TOL[s.dtype] if tol is None else tol
    values, vectors, residuals = eigh_extreme(s, tol=tol)
    dtype, eps, d = s.dtype, torch.finfo(s.dtype).eps, s.shape[1]
    # Near one, so that norms neither overflow nor vanish here; spacing is what the dtype can tell apart there.
    unit = 2.0 ** torch.where(s != 0, s.abs(), 1).double().amax((1, 2), keepdim=True).log2().floor().cpu()
    unit = torch.where((s != 0).any((1, 2)).cpu()[:, None, None], unit, 1)
    spacing = torch.finfo(dtype).smallest_normal * eps / unit[:, 0]
    s, values = s.double().cpu() / unit, values.double().cpu() / unit[:, 0]
    vectors, residuals = vectors.double().cpu(), residuals.double().cpu()
    exact = torch.linalg.eigvalsh(s)
    norm = exact.abs().amax(1, keepdim=True)
    scale = torch.where(norm > 0, norm, 1)
    assert bool((residuals <= tol).all())
    true = ((vectors @ s - values[:, :, None] * vectors).norm(dim=2)) / scale
    # The stated residual is of the value before it is rounded to the dtype, against the norm as estimated.
    assert bool(((true - residuals).abs() <= 4 * eps + 0.01 * tol + spacing).all())
    assert bool(((vectors.norm(dim=2) - 1).abs() <= 4 * d**0.5 * eps).all())
    # A Rayleigh quotient lies within its residual of an eigenvalue; it must be the extreme one.
    assert bool(((values - exact[:, [0, -1]]).abs() <= (tol + 8 * d**0.5 * eps) * scale + spacing).all())


class TestConformance(OpConformance):
    op = staticmethod(eigh_extreme)
    packet = torch.ops.netsculpt.eigh_extreme.default

    def samples(self, device: str) -> list[tuple[object, ...]]:
        return [
            (random_symmetric(5, 7, torch.float32).to(device), "both", 1e-5),
            (random_symmetric(3, 120, torch.float32).to(device), "lowest", 1e-5),
            (random_symmetric(2, 6).to(device), "highest", 1e-10),
            (random_symmetric(0, 4).to(device), "both", 1e-10),
        ]


@settings(max_examples=30)
@given(
    d=st.sampled_from(SIZES),
    m=st.integers(0, 18),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    exponent=st.sampled_from([-30, -8, 0, 8, 30]),
    seed=st.integers(0, 100),
)
def test_random_matrices(d: int, m: int, dtype: torch.dtype, exponent: int, seed: int) -> None:
    assert_right((random_symmetric(m if d < 100 else min(m, 3), d, seed=seed) * 10.0**exponent).to(dtype))


HARD: dict[str, Callable[[int], torch.Tensor]] = {
    "zero": lambda d: torch.zeros(d, d, dtype=torch.float64),
    "identity": lambda d: torch.eye(d, dtype=torch.float64),
    "minus identity": lambda d: -torch.eye(d, dtype=torch.float64),
    "diagonal": lambda d: torch.diag(torch.linspace(-2, 3, d, dtype=torch.float64)),
    "one entry": lambda d: torch.diag(torch.eye(d, dtype=torch.float64)[d // 2]),
    "rank one": lambda d: torch.ones(d, d, dtype=torch.float64),
    "minus rank one": lambda d: -torch.outer(torch.arange(d) + 1.0, torch.arange(d) + 1.0).double(),
    "repeated ends": lambda d: with_spectrum(torch.cat([-torch.ones(d // 2), torch.ones(d - d // 2)])),
    "clustered low end": lambda d: with_spectrum(torch.cat([-1 + 1e-7 * torch.arange(d // 2), torch.rand(d - d // 2)])),
    "one isolated": lambda d: with_spectrum(torch.cat([torch.tensor([-1.0]), torch.full((d - 1,), 0.5)])),
    "graded": lambda d: with_spectrum(10.0 ** -torch.linspace(0, 12, d)),
    "tridiagonal Toeplitz": lambda d: (
        torch.diag_embed(torch.ones(max(d - 1, 0)), 1).double()[:d, :d]
        + torch.diag_embed(torch.ones(max(d - 1, 0)), -1).double()[:d, :d]
        if d > 1
        else torch.ones(1, 1, dtype=torch.float64)
    ),
    "subnormal": lambda d: 1e-310 * random_symmetric(1, d)[0],
    "huge": lambda d: 1e300 * random_symmetric(1, d)[0],
}


@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("d", [1, 2, 9, 64, 113, 160])
def test_hard_spectra_float64(name: str, d: int, device: str) -> None:
    assert_right(HARD[name](d)[None].to(device))


@pytest.mark.parametrize("name", [n for n in HARD if n not in ("subnormal", "huge")])
@pytest.mark.parametrize("d", [2, 33, 130])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_hard_spectra_float32(name: str, d: int, scale: float, device: str) -> None:
    assert_right((HARD[name](d)[None] * scale).float().to(device))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("d", [20, 150])
def test_the_tightest_tolerance_is_reached(d: int, dtype: torch.dtype, device: str) -> None:
    assert_right(random_symmetric(4, d, dtype).to(device), tol=reachable_tol(dtype, d))


def test_matches_reference(device: str) -> None:
    s = random_symmetric(6, 40).to(device)
    for which in ("both", "lowest", "highest"):
        ours, expected = eigh_extreme(s, which), reference.eigh_extreme(s, which, 1e-10)
        torch.testing.assert_close(ours.values, expected[0], rtol=1e-12, atol=1e-12)
        overlap = (ours.vectors * expected[1]).sum(2).abs()
        torch.testing.assert_close(overlap, torch.ones_like(overlap), rtol=0, atol=1e-9)


def test_only_the_lower_triangle_is_read(device: str) -> None:
    for d in (9, 130):
        s = random_symmetric(2, d).to(device)
        upper = torch.full_like(s, float("nan")).triu(1)
        mangled = s.tril() + upper
        assert torch.equal(eigh_extreme(mangled).values, eigh_extreme(s).values)


def test_strides_make_no_difference(device: str) -> None:
    wide = torch.zeros(4, 30, 37, dtype=torch.float64, device=device)
    wide[::2, :, 3:33] = random_symmetric(2, 30).to(device)
    view = wide[::2, :, 3:33]
    assert torch.equal(eigh_extreme(view).vectors, eigh_extreme(view.contiguous()).vectors)
    transposed = view.contiguous().mT
    torch.testing.assert_close(eigh_extreme(transposed).values, eigh_extreme(view).values)


def test_a_matrix_is_answered_alike_whatever_its_neighbours(device: str) -> None:
    s = random_symmetric(37, 12).to(device)
    assert torch.equal(eigh_extreme(s).vectors[20], eigh_extreme(s[20:21]).vectors[0])


@pytest.mark.parametrize("d", [4, 130])
@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf")])
def test_a_poisoned_matrix_is_named(d: int, poison: float, device: str) -> None:
    s = random_symmetric(5, d).to(device)
    s[3, d - 1, 1] = poison
    with pytest.raises(RuntimeError, match="matrix 3 has an entry that is NaN or infinite"):
        eigh_extreme(s)


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ShapeError, "s must be \\[m, d, d\\], not \\[4, 4\\]", lambda: eigh_extreme(torch.ones(4, 4))),
        (ShapeError, "s must be \\[m, d, d\\], not \\[2, 4, 3\\]", lambda: eigh_extreme(torch.ones(2, 4, 3))),
        (ShapeError, "d ≥ 1", lambda: eigh_extreme(torch.ones(2, 0, 0))),
        (ShapeError, "float32 or float64, not torch.float16", lambda: eigh_extreme(torch.ones(2, 4, 4).half())),
        (ArgumentError, "which must be both", lambda: eigh_extreme(torch.ones(2, 4, 4), "top")),  # type: ignore[arg-type]
        (ArgumentError, "tol must be at least", lambda: eigh_extreme(torch.ones(2, 4, 4), tol=1e-9)),
        (ArgumentError, "tol must be at least", lambda: eigh_extreme(torch.ones(2, 4, 4), tol=float("nan"))),
    ],
)
def test_bad_input_is_one_sentence(error: type[Exception], message: str, call: Callable[[], object]) -> None:
    with pytest.raises(error, match=message):
        call()
