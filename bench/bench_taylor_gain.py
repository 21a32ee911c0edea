"""taylor_gain: reads activations and gradients once; bound by memory."""

import torch

from bench.case import Case
from netsculpt import ops, reference

# Twice 32 MiB and twice 392 MiB in float32: past a usual second-level cache, and past any last-level cache.
SHAPES = ((128, 64, 32, 32), (256, 128, 56, 56))


def cases(device: str) -> list[Case]:
    layouts = [(shape, layout, torch.float32) for shape in SHAPES for layout in ("channels-first", "channels-last")]
    halves = [(SHAPES[0], layout, torch.bfloat16) for layout in ("channels-first", "channels-last")]
    tokens = [((64, 768, 512), "channels-last", torch.float32), ((65536, 512), "channels-first", torch.float32)]
    return [_case(*case, device) for case in (*layouts, *halves, *tokens)]


def _tensor(shape: tuple[int, ...], layout: str, dtype: torch.dtype, device: str) -> torch.Tensor:
    if layout == "channels-first":
        return torch.randn(shape, device=device, dtype=dtype)
    return torch.randn(shape[0], *shape[2:], shape[1], device=device, dtype=dtype).movedim(-1, 1)


def _expression(a: torch.Tensor, g: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    product = (a * g).flatten(2) if a.dim() > 2 else (a * g).unsqueeze(2)
    per_sample = product.sum(2)
    return per_sample.sum(0), product.abs().sum((0, 2)), per_sample.square().sum(0)


class _Inputs:
    """Made when first used, so that listing the cases costs nothing, and shared by all that a case runs."""

    def __init__(self, *how: object) -> None:
        self._how = how
        self._made: tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None = None

    def __call__(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if self._made is None:
            a, g = (_tensor(*self._how) for _ in range(2))  # type: ignore[arg-type]
            self._made = a, g, torch.randn(a.numel() * a.element_size() // 2, device=a.device)
        return self._made


def _case(shape: tuple[int, ...], layout: str, dtype: torch.dtype, device: str) -> Case:
    inputs = _Inputs(shape, layout, dtype, device)
    compiled = torch.compile(_expression)

    def check() -> None:
        a, g, _ = inputs()
        small = a[:16], g[:16]
        got, expected = torch.stack(ops.taylor_gain(*small)), reference.taylor_gain(*small)
        torch.testing.assert_close(got[:2] / expected[1], expected[:2] / expected[1], rtol=0, atol=1e-6)
        torch.testing.assert_close(got[2], expected[2], rtol=1e-4, atol=0)

    name = str(dtype).removeprefix("torch.")
    elements = torch.Size(shape).numel()
    return Case(
        op="taylor_gain",
        name=f"{list(shape)} {layout} {name}",
        run=lambda: ops.taylor_gain(*inputs()[:2]),
        check=check,
        bytes=2 * dtype.itemsize * elements,
        flops=3 * elements,
        alternatives={
            "eager": lambda: _expression(*inputs()[:2]),
            "torch.compile": lambda: compiled(*inputs()[:2]),
            "read (torch.sum of the same bytes)": lambda: inputs()[2].sum(),
        },
        target="never slower than torch.compile, 80 % of read, 3x eager",
    )
