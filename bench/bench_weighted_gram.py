"""weighted_gram: one matrix product over the pairs i <= j; bound by arithmetic."""

import torch

from bench.case import Case
from netsculpt import ops, reference

SIZES = ((131072, 27, 64), (32768, 144, 32), (8192, 576, 64))


def cases(device: str) -> list[Case]:
    return [_case(n, d, m, device) for n, d, m in SIZES] + [_depthwise(16384, 64, 9, device)]


def _case(n: int, d: int, m: int, device: str) -> Case:
    x, q = torch.randn(n, d, device=device), torch.randn(n, m, device=device)

    def loop() -> torch.Tensor:
        return torch.stack([x.mT @ (q[:, k : k + 1] * x) for k in range(m)])

    def check() -> None:
        units = slice(0, 2)  # float64 products of all units would take minutes
        expected = reference.weighted_gram(x.double(), q[:, units].double())
        _assert_close(ops.weighted_gram(x, q)[units], expected, n)

    alternatives = {"loop of products": loop}
    if d == 27:  # the others would take gigabytes
        alternatives["einsum"] = lambda: torch.einsum("nk,ni,nj->kij", q, x, x)
        alternatives["torch.compile"] = torch.compile(loop)
    return Case(
        op="weighted_gram",
        name=f"n={n} d={d} m={m}",
        run=lambda: ops.weighted_gram(x, q),
        check=check,
        bytes=4 * (n * d + n * m + m * d * d),
        flops=n * m * d * (d + 1),
        alternatives=alternatives,
        target="1.5x loop of products",
    )


def _depthwise(n: int, g: int, d: int, device: str) -> Case:
    x, q = torch.randn(n, g, d, device=device), torch.randn(n, g, 1, device=device)

    def batched() -> torch.Tensor:
        return (x.permute(1, 2, 0) @ (q * x).transpose(0, 1)).unsqueeze(1)

    def check() -> None:
        _assert_close(ops.weighted_gram(x, q), reference.weighted_gram(x.double(), q.double()), n)

    return Case(
        op="weighted_gram",
        name=f"depthwise n={n} g={g} d={d}",
        run=lambda: ops.weighted_gram(x, q),
        check=check,
        bytes=4 * g * (n * d + n + d * d),
        flops=g * n * d * (d + 1),
        alternatives={"batched product": batched, "torch.compile": torch.compile(batched)},
    )


def _assert_close(got: torch.Tensor, expected: torch.Tensor, n: int) -> None:
    torch.testing.assert_close(got.double(), expected, rtol=1e-5, atol=1e-6 * n**0.5 * 10)
