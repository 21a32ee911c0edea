"""lanczos_update: one step against its reference, and a whole Lanczos run against eigh."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsculpt import reference
from netsculpt.errors import ShapeError
from netsculpt.ops import lanczos_update, tridiagonal_extreme
from tests.ops.conformance import OpConformance


def sample(m: int, k: int, d: int, dtype: torch.dtype, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q, _ = torch.linalg.qr(torch.randn(m, d, k, dtype=torch.float64, generator=generator))
    r = torch.randn(m, d, dtype=torch.float64, generator=generator)
    return q.mT.contiguous().to(dtype), r.to(dtype)


class TestConformance(OpConformance):
    op = staticmethod(lanczos_update)
    packet = torch.ops.netsculpt.lanczos_update.default

    def samples(self, device: str) -> list[tuple[object, ...]]:
        cases = [sample(4, 3, 9, torch.float32), sample(2, 1, 17, torch.float64), sample(0, 2, 5, torch.float32)]
        return [(basis.to(device), r.to(device)) for basis, r in cases]


@given(
    m=st.integers(0, 9),
    k=st.sampled_from([1, 2, 3, 7, 20]),
    extra=st.sampled_from([1, 2, 13, 40]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 50),
)
def test_matches_reference(m: int, k: int, extra: int, dtype: torch.dtype, seed: int) -> None:
    d = k + extra
    basis, r = sample(m, k, d, dtype, seed)
    ours = lanczos_update(basis, r)
    # The basis as rounded is orthonormal only to eps, and r has components of size one along each of its vectors.
    tolerance = 16 * d**0.5 * torch.finfo(dtype).eps * (1 + r.double().norm(dim=1, keepdim=True))
    expected = reference.lanczos_update(basis.double(), r.double())
    for a, b in zip((ours.alpha, ours.beta), expected[:2], strict=True):
        assert bool(((a.double() - b).abs() <= tolerance[:, 0]).all())
    assert bool(((ours.next.double() - expected[2]).abs() * expected[1][:, None] <= tolerance).all())
    overlap = torch.einsum("mkd,md->mk", basis.double(), ours.next.double()).abs()
    assert bool((overlap <= 16 * d**0.5 * torch.finfo(dtype).eps).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_exhausted_unit_gets_zero(dtype: torch.dtype, device: str) -> None:
    basis, _ = sample(3, 4, 12, dtype)
    r = torch.stack([basis[0, 0] + 2 * basis[0, 3], torch.zeros(12, dtype=dtype), torch.ones(12, dtype=dtype)])
    alpha, beta, following = lanczos_update(basis.to(device), r.to(device))
    assert bool((beta[:2] == 0).all()) and bool((following[:2] == 0).all())
    assert beta[2] > 0
    torch.testing.assert_close(alpha[0].cpu(), torch.tensor(2.0, dtype=dtype))


def test_nan_is_not_taken_for_exhaustion(device: str) -> None:
    basis, r = (t.to(device) for t in sample(2, 3, 9, torch.float64))
    r[1, 4] = torch.nan
    alpha, beta, following = lanczos_update(basis, r)
    assert bool(beta[1].isnan()) and bool(alpha[1].isnan()) and bool(following[1].isnan().all())
    assert bool(beta[0] > 0) and bool(following[0].isfinite().all())


def test_a_whole_run_finds_the_extreme_eigenvalues(device: str) -> None:
    m, d, steps = 6, 40, 40
    a = torch.randn(m, d, d, dtype=torch.float64, device=device)
    s = a + a.mT
    basis = torch.zeros(m, steps + 1, d, dtype=torch.float64, device=device)
    basis[:, 0] = torch.nn.functional.normalize(torch.randn(m, d, dtype=torch.float64, device=device), dim=1)
    alphas, betas = [], []
    for k in range(steps):
        r = torch.einsum("mij,mj->mi", s, basis[:, k])
        alpha, beta, basis[:, k + 1] = lanczos_update(basis[:, : k + 1], r)
        alphas.append(alpha)
        betas.append(beta)
    gram = basis[:, :steps] @ basis[:, :steps].mT
    torch.testing.assert_close(gram, torch.eye(steps, dtype=torch.float64, device=device).expand_as(gram))
    values = tridiagonal_extreme(torch.stack(alphas, 1), torch.stack(betas, 1)[:, :-1]).values
    torch.testing.assert_close(values, torch.linalg.eigvalsh(s)[:, [0, -1]])


@pytest.mark.parametrize(
    ("basis", "r", "message"),
    [
        (torch.ones(3, 4), torch.ones(3, 4), "basis must be \\[m, k, d\\] with k ≥ 1, not \\[3, 4\\]"),
        (torch.ones(3, 0, 4), torch.ones(3, 4), "basis must be \\[m, k, d\\] with k ≥ 1"),
        (torch.ones(3, 2, 4), torch.ones(3, 5), "r must be \\[3, 4\\] for this basis, not \\[3, 5\\]"),
        (torch.ones(3, 2, 4), torch.ones(3, 4).double(), "r must have basis's dtype torch.float32"),
        (torch.ones(3, 2, 4).half(), torch.ones(3, 4).half(), "basis must be float32 or float64"),
    ],
)
def test_bad_input_is_one_sentence(basis: torch.Tensor, r: torch.Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        lanczos_update(basis, r)
