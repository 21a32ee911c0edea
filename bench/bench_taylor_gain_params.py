"""taylor_gain_params: reads parameters and gradients once; bound by memory, and by launches where they are small."""

import torch

from bench.case import Case
from netsculpt import ops, reference

# (shape, channel dimension) of the parameters that one axis of C channels lives in.
Entries = list[tuple[tuple[int, ...], int]]


def cases(device: str) -> list[Case]:
    block: Entries = [((256, 256, 3, 3), 0), ((256,), 0), ((256,), 0), ((256,), 0), ((256, 256, 3, 3), 1)]
    residual: Entries = [((512, 128, 1, 1), 0), ((512,), 0), ((512,), 0), ((128, 512, 1, 1), 1)] * 8
    mlp: Entries = [((3072, 768), 0), ((3072,), 0), ((768, 3072), 1)]
    return [
        _case(name, entries, device)
        for name, entries in (("two 3x3 convolutions", block), ("residual, 32 entries", residual), ("MLP", mlp))
    ]


def _expression(
    params: list[torch.Tensor], grads: list[torch.Tensor], dims: list[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    products = [(p * g).movedim(d, 0).reshape(p.shape[d], -1) for p, g, d in zip(params, grads, dims, strict=True)]
    sums = torch.stack([product.sum(1) for product in products])
    absolute = torch.stack([product.abs().sum(1) for product in products])
    return sums.sum(0), absolute.sum(0), sums.square().sum(0)


def _case(name: str, entries: Entries, device: str) -> Case:
    params, grads = ([torch.randn(shape, device=device) for shape, _ in entries] for _ in range(2))
    dims = [dim for _, dim in entries]
    elements = sum(p.numel() for p in params)
    same_bytes = torch.randn(2 * elements, device=device)
    compiled = torch.compile(_expression)

    def check() -> None:
        got, expected = (
            torch.stack(ops.taylor_gain_params(params, grads, dims)),
            reference.taylor_gain_params(params, grads, dims),
        )
        torch.testing.assert_close(got[:2] / expected[1], expected[:2] / expected[1], rtol=0, atol=1e-6)
        torch.testing.assert_close(got[2], expected[2], rtol=1e-4, atol=0)

    return Case(
        op="taylor_gain_params",
        name=f"{name}, C={params[0].shape[dims[0]]}",
        run=lambda: ops.taylor_gain_params(params, grads, dims),
        check=check,
        bytes=2 * 4 * elements,
        flops=3 * elements,
        alternatives={
            "eager": lambda: _expression(params, grads, dims),
            "torch.compile": lambda: compiled(params, grads, dims),
            "read (torch.sum of the same bytes)": lambda: same_bytes.sum(),
        },
        target="never slower than torch.compile",
    )
