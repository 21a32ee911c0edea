"""eigh_extreme: the cases of real layers, on random and on real splitting-matrix spectra."""

from collections.abc import Callable
from functools import partial

import torch

from bench.case import Case
from netsculpt import ops, reference

SIZES = ((64, 27), (256, 64), (64, 144), (64, 288), (64, 576))
TOL = 1e-5
LOBPCG_UP_TO = 144  # beyond, one call takes many seconds: hundreds of times longer, and no news


def cases(device: str) -> list[Case]:
    return [_case(m, d, name, make(m, d).to(device)) for m, d in SIZES for name, make in SPECTRA.items()]


def _random(m: int, d: int) -> torch.Tensor:
    a = torch.randn(m, d, d, generator=torch.Generator().manual_seed(0))
    return a + a.mT


def _splitting(m: int, d: int) -> torch.Tensor:
    """Splitting matrices of m softplus units of a random layer on correlated inputs, under a random loss gradient."""
    generator = torch.Generator().manual_seed(0)
    n = 4096
    mixing = torch.randn(d, d, generator=generator) / d**0.5 + torch.eye(d)
    x = torch.randn(n, d, generator=generator) @ mixing
    z = x @ torch.randn(d, m, generator=generator) / d**0.5
    gate = torch.sigmoid(z)
    q = torch.randn(n, m, generator=generator) * gate * (1 - gate) / n
    return ops.weighted_gram(x, q)


SPECTRA: dict[str, Callable[[int, int], torch.Tensor]] = {"random": _random, "splitting": _splitting}


def _case(m: int, d: int, spectrum: str, s: torch.Tensor) -> Case:
    alternatives = {"torch.linalg.eigh": partial(torch.linalg.eigh, s)}
    if d <= LOBPCG_UP_TO:
        alternatives["torch.lobpcg, both ends"] = partial(_lobpcg, s)
    if s.device.type == "cpu":
        alternatives["scipy eigh, subset_by_index"] = partial(_scipy, s)
    return Case(
        op="eigh_extreme",
        name=f"m={m} d={d} {spectrum}",
        run=partial(ops.eigh_extreme, s, "both", TOL),
        check=partial(_check, s),
        bytes=4.0 * m * d * (d + 1) / 2,
        # No method can do with less than the products that Lanczos needs to converge; this counts the direct method.
        flops=4 / 3 * m * d**3,
        alternatives=alternatives,
        target="5x torch.linalg.eigh, aim at 10x",
    )


def _check(s: torch.Tensor) -> None:
    values, vectors, residuals = ops.eigh_extreme(s, "both", TOL)
    some = slice(0, 4)
    expected = reference.eigh_extreme(s[some], "both", TOL)[0]
    norm = expected.abs().amax(1, keepdim=True)
    assert bool((residuals <= TOL).all()), "a residual is above the tolerance"
    assert bool(((values[some] - expected).abs() <= TOL * norm).all()), "an eigenvalue is wrong"
    rest = (vectors.double() @ s.double() - values.double()[:, :, None] * vectors.double()).norm(dim=2)
    assert bool((rest[some] <= 2 * TOL * norm).all()), "an eigenvector is wrong"


def _lobpcg(s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    low = torch.lobpcg(s, k=1, largest=False, tol=TOL)[0]
    high = torch.lobpcg(s, k=1, largest=True, tol=TOL)[0]
    return low, high


def _scipy(s: torch.Tensor) -> None:
    import scipy.linalg

    last = s.shape[1] - 1
    for matrix in s.numpy():
        scipy.linalg.eigh(matrix, subset_by_index=[0, 0])
        scipy.linalg.eigh(matrix, subset_by_index=[last, last])
