"""weighted_normal: two matrix products that read x once; bound by arithmetic, or by memory where d is small."""

import torch

from bench.case import Case
from netsculpt import ops, reference

SIZES = ((131072, 27, 64), (32768, 144, 32), (8192, 576, 64))


def cases(device: str) -> list[Case]:
    return [_case(n, d, m, device) for n, d, m in SIZES]


def _case(n: int, d: int, m: int, device: str) -> Case:
    x, q, v = (torch.randn(size, device=device) for size in ((n, d), (n, m), (m, d)))

    def eager() -> torch.Tensor:
        return (q * (x @ v.mT)).mT @ x

    def check() -> None:
        expected = reference.weighted_normal(x.double(), q.double(), v.double())
        got = ops.weighted_normal(x, q, v).double()
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * (n * d) ** 0.5)

    return Case(
        op="weighted_normal",
        name=f"n={n} d={d} m={m}",
        run=lambda: ops.weighted_normal(x, q, v),
        check=check,
        bytes=4 * (n * d + n * m + 2 * m * d),
        flops=4 * n * m * d,
        alternatives={"two products": eager, "torch.compile": torch.compile(eager)},
        target="2.5x two products" if d == 27 else "1x two products, 90 % of matmul rate",
    )
