"""lanczos_update: reads the basis once; bound by memory where the basis is larger than the cache."""

from functools import partial

import torch

from bench.case import Case
from netsculpt import ops, reference


def cases(device: str) -> list[Case]:
    return [_case(m, k, d, device) for m, k, d in ((64, 20, 288), (256, 20, 576), (512, 40, 1152))]


def _eager(basis: torch.Tensor, r: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two passes of classical Gram-Schmidt as batched products."""
    alpha = (basis[:, -1] * r).sum(1)
    for _ in range(2):
        r = r - (basis.mT @ (basis @ r[:, :, None]))[:, :, 0]
    beta = r.norm(dim=1)
    return alpha, beta, r / beta[:, None]


def _case(m: int, k: int, d: int, device: str) -> Case:
    basis = torch.linalg.qr(torch.randn(m, d, k, device=device))[0].mT.contiguous()
    r = torch.randn(m, d, device=device)

    def check() -> None:
        ours, expected = ops.lanczos_update(basis, r), reference.lanczos_update(basis.double(), r.double())
        for a, b in zip(ours, expected, strict=True):
            torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-4)

    return Case(
        op="lanczos_update",
        name=f"m={m} k={k} d={d}",
        run=partial(ops.lanczos_update, basis, r),
        check=check,
        bytes=4.0 * m * d * (k + 2),
        flops=2.0 * 4 * m * k * d,
        alternatives={"eager": partial(_eager, basis, r), "torch.compile": partial(torch.compile(_eager), basis, r)},
    )
