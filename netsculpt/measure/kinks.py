"""Piecewise-linear activations with a second derivative: kinks smeared over the width of a step.

A ReLU bends at one point only, so σ'' is zero almost everywhere and no matrix of second derivatives sees it. A split
by ±a does: ½ relu(z + a) + ½ relu(z - a) - relu(z) = ½ max(|a| - |z|, 0), which is ½ a² times a triangle of mass 1 and
half-width |a| in the place of σ''(z). The functions here have the values and slopes that they always had, and such a
triangle (or the bump β s(1 - s), s = sigmoid(β z), of the published code) for every jump of the slope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Kernel(NamedTuple):
    """What stands for the second derivative at a kink.

    Attributes:
        shape: ``"triangle"`` or ``"softplus"``.
        width: half-width of the triangle in the units of the pre-activation, or β of the softplus.
    """

    shape: str
    width: float

    def __call__(self, distance: Tensor) -> Tensor:
        """The kernel, of mass 1, at a distance from the kink."""
        if self.shape == "triangle":
            return (self.width - distance.abs()).clamp(min=0) / self.width**2
        s = torch.sigmoid(self.width * distance)
        return self.width * s * (1 - s)


class Kink(NamedTuple):
    """A jump of the slope: where, and by how much."""

    at: float | Tensor
    jump: float | Tensor


class Bent(NamedTuple):
    """A piecewise smooth function of one tensor: its slope away from kinks, and its kinks."""

    slope: Callable[[Tensor], Tensor]
    kinks: tuple[Kink, ...]


def surrogate(name: str, arguments: dict[str, Any], kernel: Kernel) -> Tensor | None:
    """What an operation with kinks gives, able to be differentiated twice; None for an operation without kinks.

    Args:
        name: of the ATen operation, without namespace and trailing underscore.
        arguments: by the names of its schema.
        kernel: in the place of the second derivative at a kink.
    """
    if name not in KINKED:
        return None
    z = arguments["self"] if "self" in arguments else arguments["input"]
    bent = KINKED[name](z, arguments)
    if bent is None:
        return None
    plain = getattr(torch.ops.aten, name)
    with torch.no_grad():
        others = {key: value for key, value in arguments.items() if key not in ("self", "input", "inplace")}
        value = plain(z, **others)
    return _Value.apply(z, value, bent, kernel)  # type: ignore[no-untyped-call]


class _Value(torch.autograd.Function):
    """The function itself; its derivative is ``_Slope``."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, value: Tensor, bent: Bent, kernel: Kernel) -> Tensor:
        ctx.save_for_backward(z)
        ctx.bent, ctx.kernel = bent, kernel
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (z,) = ctx.saved_tensors
        return grads[0] * _Slope.apply(z, ctx.bent, ctx.kernel), None, None, None  # type: ignore[no-untyped-call]


class _Slope(torch.autograd.Function):
    """The slope, exactly; its derivative has kernels at the jumps."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, bent: Bent, kernel: Kernel) -> Tensor:
        ctx.save_for_backward(z)
        ctx.bent, ctx.kernel = bent, kernel
        return bent.slope(z)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (z,) = ctx.saved_tensors
        with torch.enable_grad():
            inner = z.detach().requires_grad_()
            slope = ctx.bent.slope(inner)
            smooth = torch.zeros_like(z)
            if slope.requires_grad:
                (smooth,) = torch.autograd.grad(slope.sum(), inner)
        bend = smooth + sum(kink.jump * ctx.kernel(z - kink.at) for kink in ctx.bent.kinks)
        return grads[0] * bend, None, None


def _step(z: Tensor, pieces: Iterable[tuple[float | Tensor, float | Tensor]], first: float | Tensor = 0.0) -> Tensor:
    """A piecewise constant slope: ``first``, then each (from where, slope)."""
    slope = torch.as_tensor(first, dtype=z.dtype, device=z.device).expand_as(z)
    for at, value in pieces:
        slope = torch.where(z > at, torch.as_tensor(value, dtype=z.dtype, device=z.device), slope)
    return slope


def _relu(z: Tensor, _: dict[str, Any]) -> Bent:
    return Bent(lambda z: _step(z, [(0.0, 1.0)]), (Kink(0.0, 1.0),))


def _relu6(z: Tensor, _: dict[str, Any]) -> Bent:
    return _between(0.0, 6.0)


def _hardtanh(z: Tensor, arguments: dict[str, Any]) -> Bent:
    return _between(float(arguments["min_val"]), float(arguments["max_val"]))


def _clamp(z: Tensor, arguments: dict[str, Any]) -> Bent | None:
    low, high = arguments.get("min"), arguments.get("max")
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        return None
    return _between(None if low is None else float(low), None if high is None else float(high))


def _between(low: float | None, high: float | None) -> Bent:
    pieces = [*([] if low is None else [(low, 1.0)]), *([] if high is None else [(high, 0.0)])]
    first = 1.0 if low is None else 0.0
    kinks = [*([] if low is None else [Kink(low, 1.0)]), *([] if high is None else [Kink(high, -1.0)])]
    return Bent(lambda z: _step(z, pieces, first), tuple(kinks))


def _leaky(z: Tensor, arguments: dict[str, Any]) -> Bent:
    slope = float(arguments["negative_slope"])
    return Bent(lambda z: _step(z, [(0.0, 1.0)], slope), (Kink(0.0, 1.0 - slope),))


def _prelu(z: Tensor, arguments: dict[str, Any]) -> Bent:
    weight = arguments["weight"].detach()
    slope = weight.reshape(-1, *[1] * (z.dim() - 2)) if weight.numel() > 1 and z.dim() > 1 else weight
    return Bent(lambda z: _step(z, [(0.0, 1.0)], slope), (Kink(0.0, 1.0 - slope),))


def _hardswish(z: Tensor, _: dict[str, Any]) -> Bent:
    def slope(z: Tensor) -> Tensor:
        inside = (2 * z + 3) / 6
        return torch.where(z <= -3, torch.zeros_like(z), torch.where(z >= 3, torch.ones_like(z), inside))

    return Bent(slope, (Kink(-3.0, -0.5), Kink(3.0, -0.5)))


def _hardsigmoid(z: Tensor, _: dict[str, Any]) -> Bent:
    return Bent(lambda z: _step(z, [(-3.0, 1 / 6), (3.0, 0.0)]), (Kink(-3.0, 1 / 6), Kink(3.0, -1 / 6)))


def _abs(z: Tensor, _: dict[str, Any]) -> Bent:
    return Bent(lambda z: z.sign(), (Kink(0.0, 2.0),))


def _elu(z: Tensor, arguments: dict[str, Any]) -> Bent:
    alpha, scale, inner = (float(arguments[name]) for name in ("alpha", "scale", "input_scale"))
    return _exponential(alpha * scale * inner, scale, inner)


def _selu(z: Tensor, _: dict[str, Any]) -> Bent:
    alpha, scale = 1.6732632423543772, 1.0507009873554805
    return _exponential(alpha * scale, scale, 1.0)


def _exponential(below: float, above: float, inner: float) -> Bent:
    """``below`` · exp(``inner`` · z), up to 0; ``above`` from there on."""
    return Bent(
        lambda z: torch.where(z > 0, above * torch.ones_like(z), below * (inner * z.clamp(max=0)).exp()),
        (Kink(0.0, above - below),),
    )


def _softshrink(z: Tensor, arguments: dict[str, Any]) -> Bent:
    edge = float(arguments["lambd"])
    return Bent(lambda z: _step(z, [(-edge, 0.0), (edge, 1.0)], 1.0), (Kink(-edge, -1.0), Kink(edge, 1.0)))


KINKED: dict[str, Callable[[Tensor, dict[str, Any]], Bent | None]] = {
    "relu": _relu,
    "relu6": _relu6,
    "hardtanh": _hardtanh,
    "clamp": _clamp,
    "clamp_min": _clamp,
    "clamp_max": _clamp,
    "leaky_relu": _leaky,
    "prelu": _prelu,
    "hardswish": _hardswish,
    "hardsigmoid": _hardsigmoid,
    "abs": _abs,
    "elu": _elu,
    "selu": _selu,
    "softshrink": _softshrink,
}
