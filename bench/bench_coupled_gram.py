"""coupled_gram: reads half of two symmetric matrices once; bound by memory."""

import torch

from bench.case import Case
from netsculpt import ops, reference


def cases(device: str) -> list[Case]:
    return [_case(units, places, device) for units, places in ((64, 9), (256, 9), (512, 9))]


def _case(units: int, places: int, device: str) -> Case:
    size = units * places
    cov, weights = (torch.randn(size, size, device=device) for _ in range(2))
    cov, weights = cov + cov.mT, weights + weights.mT

    def eager() -> torch.Tensor:
        return (cov * weights).view(units, places, units, places).sum((1, 3))

    def check() -> None:
        got = ops.coupled_gram(cov, weights, places).double()
        expected = reference.coupled_gram(cov.double(), weights.double(), places)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * size)

    return Case(
        op="coupled_gram",
        name=f"units={units} places={places}",
        run=lambda: ops.coupled_gram(cov, weights, places),
        check=check,
        bytes=2 * 4 * size * (size + places) / 2,
        flops=2 * size * (size + places) / 2,
        alternatives={"eager": eager, "torch.compile": torch.compile(eager)},
    )
