"""Operations that make units: linear layers and convolutions, as linear maps of their weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional as F

CONVOLUTIONS = {"conv1d", "conv2d", "conv3d"}
TRANSPOSED = {"conv_transpose1d", "conv_transpose2d", "conv_transpose3d"}
PRODUCTS = {"linear", "addmm", "mm", "matmul"}


@dataclass(frozen=True)
class Producer:
    """One operation ``y = weight · x + bias`` of the program.

    Attributes:
        node: its name.
        kind: ATen operation, without overload.
        source: name of the node that gives x.
        weight: name of the weight, as the graph has it.
        bias: name of the bias, if it is a parameter.
        dim: the weight's dimension that makes the units.
        options: stride, padding and the like, by name.
        kernel: sizes of a convolution's kernel.
    """

    node: str
    kind: str
    source: str
    weight: str
    bias: str | None
    dim: int
    options: Mapping[str, Any]
    kernel: tuple[int, ...] = ()

    @property
    def channel(self) -> int:
        """The dimension of the result that holds the units, with a batch before it."""
        return -1 if self.kind in PRODUCTS else 1

    def patch_norm(self, x: Tensor, y: Tensor) -> float:
        """The root mean square norm of what a row of the weight is multiplied with, and of a 1 for a bias.

        Borders are counted as if patches went over them.
        """
        positions = y.numel() // y.shape[self.channel]
        often = 1.0
        if self.kind not in PRODUCTS:
            often = math.prod(self.kernel) / self.options["groups"]
            if self.kind in CONVOLUTIONS:
                often /= math.prod(_each(self.options["stride"], len(self.kernel)))
        return math.sqrt(float(x.double().square().sum()) * often / positions + (self.bias is not None))

    def respond(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The result for other weights of the same shape."""
        if self.kind in PRODUCTS:
            return F.linear(x, weight if self.dim == 0 else weight.t(), bias)
        result: Tensor = getattr(F, self.kind)(x, weight, bias, **self.options)
        return result

    @property
    def has_patches(self) -> bool:
        """Whether ``patches`` can make them."""
        named = isinstance(self.options.get("padding"), str)
        return self.kind in PRODUCTS | {"conv1d", "conv2d"} and self.options.get("groups", 1) == 1 and not named

    def patches(self, x: Tensor, bias: bool) -> Tensor:
        """What every row of the weight is multiplied with, then 1 for the bias: [n, d], positions as in the result."""
        if self.kind not in PRODUCTS:
            options = {key: _each(self.options[key], len(self.kernel)) for key in ("dilation", "padding", "stride")}
            kernel = self.kernel
            if self.kind == "conv1d":
                x, kernel = x.unsqueeze(2), (1, *kernel)
                options = {key: [int(key != "padding"), *value] for key, value in options.items()}
            x = F.unfold(x, kernel, **options).transpose(1, 2)  # [batch, positions, d]
        rows = x.reshape(-1, x.shape[-1])
        return F.pad(rows, (0, 1), value=1.0) if bias else rows

    def gather(self, x: Tensor, w: Tensor, weight: Tensor, bias: bool) -> tuple[Tensor, Tensor | None]:
        """The gradients of ⟨w, respond(x, weight, bias)⟩ by weight and bias: ``respond`` transposed.

        Args:
            x: input.
            w: like the result.
            weight: any of the right shape, dtype and device; its values do not matter.
            bias: whether its gradient is wanted.
        """
        if self.kind in PRODUCTS:
            rows = w.reshape(-1, w.shape[-1])
            product = rows.t() @ x.reshape(-1, x.shape[-1])
            return (product if self.dim == 0 else product.t()), rows.sum(0) if bias else None
        others = [dim for dim in range(w.dim()) if dim != 1]
        return self._weight_gradient(x, w, weight), w.sum(others) if bias else None

    def _weight_gradient(self, x: Tensor, w: Tensor, weight: Tensor) -> Tensor:
        spatial = len(self.kernel)
        options = {key: _each(value, spatial) for key, value in self.options.items() if key != "groups"}
        if isinstance(options["padding"], str):  # "same" of an even kernel pads unevenly: torch knows how
            with torch.enable_grad():
                inner = weight.detach().requires_grad_()
                (gradient,) = torch.autograd.grad(self.respond(x, inner, None), inner, w)
            return gradient
        transposed = self.kind in TRANSPOSED
        _, gradient, _ = torch.ops.aten.convolution_backward(
            w,
            x,
            weight,
            None,
            options["stride"],
            options["padding"],
            options["dilation"],
            transposed,
            options.get("output_padding", [0] * spatial),
            self.options["groups"],
            [False, True, False],
        )
        return gradient


def _each(value: Any, spatial: int) -> Any:
    if isinstance(value, str):
        return value
    values = [value] if isinstance(value, int) else list(value)
    return values * spatial if len(values) == 1 else values


def producer_of(node: fx.Node, arguments: Mapping[str, Any], weight: str, bias: str | None) -> Producer | None:
    """The node as a producer; None where it is none that is known.

    Args:
        node: of the program.
        arguments: its own, by the names of the schema.
        weight: name of the parameter that it multiplies with.
        bias: name of the parameter that it adds.
    """
    name = str(node.target).split(".")[1] if str(node.target).startswith("aten.") else ""
    if name in CONVOLUTIONS | TRANSPOSED:
        keys = ["stride", "padding", "dilation", "groups", *(["output_padding"] if name in TRANSPOSED else [])]
        options = {key: arguments[key] for key in keys}
        if name in TRANSPOSED and options["groups"] > 1:
            return None
        kernel = tuple(map(int, arguments["weight"].meta["val"].shape[2:]))
        return Producer(
            node.name, name, arguments["input"].name, weight, bias, int(name in TRANSPOSED), options, kernel
        )
    if name in PRODUCTS:
        first = {"linear": "input", "addmm": "mat1"}.get(name, "self")
        turned = any(_turns(each) for each in _operands(arguments))
        dim = int(turned is (name == "linear"))  # linear takes [out, in], the others [in, out]
        return Producer(node.name, name, arguments[first].name, weight, bias, dim, {})
    return None


def weight_argument(arguments: Mapping[str, Any]) -> fx.Node | None:
    """The node of what an operation multiplies with, seen through a transposition of two dimensions."""
    found = next(_operands(arguments), None)
    return found.all_input_nodes[0] if found is not None and _turns(found) else found


def _operands(arguments: Mapping[str, Any]) -> Iterator[fx.Node]:
    return (arguments[name] for name in ("weight", "mat2", "other") if isinstance(arguments.get(name), fx.Node))


def _turns(node: fx.Node) -> bool:
    return str(node.target) in ("aten.t.default", "aten.numpy_T.default", "aten.transpose.int", "aten.permute.default")
