"""tridiagonal_extreme: chains of divisions, many matrices at once."""

from functools import partial

import torch

from bench.case import Case
from netsculpt import ops, reference


def cases(device: str) -> list[Case]:
    return [_case(m, k, device) for m, k in ((256, 16), (256, 40), (2048, 40))]


def _case(m: int, k: int, device: str) -> Case:
    alpha, beta = torch.randn(m, k, device=device), torch.randn(m, k - 1, device=device)
    dense = torch.diag_embed(alpha) + torch.diag_embed(beta, 1) + torch.diag_embed(beta, -1)

    def check() -> None:
        got = ops.tridiagonal_extreme(alpha, beta).values.double()
        expected = reference.tridiagonal_extreme(alpha.double(), beta.double())[0]
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)

    return Case(
        op="tridiagonal_extreme",
        name=f"m={m} k={k}",
        run=partial(ops.tridiagonal_extreme, alpha, beta),
        check=check,
        bytes=4.0 * m * (2 * k + 2 * k + 2),
        # Bisection: 26 shifts an end, and for each entry a division, a product and two differences.
        flops=26.0 * 2 * 4 * m * k,
        alternatives={"torch.linalg.eigh": partial(torch.linalg.eigh, dense)},
    )
