"""Operations that make units: linear layers and convolutions, as linear maps of their weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.export.graph_signature import InputKind
from torch.nn import functional as F

from netsculpt.graph import Graph
from netsculpt.measure.nodes import arguments_of, operation

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
        """Whether ``patches`` can make what each row of the weight is multiplied with."""
        return self.options.get("groups", 1) == 1

    def patches(self, x: Tensor, bias: bool) -> Tensor:
        """What every row of the weight is multiplied with, then 1 for the bias: [n, d], positions as in the result.

        Of a convolution in groups it is what the rows of all groups are multiplied with, group by group.
        """
        if self.kind in PRODUCTS:
            rows = x.reshape(-1, x.shape[-1])
        elif self.kind == "conv2d" and max(self.kernel) > 1 and not isinstance(self.options["padding"], str):
            options = {key: self.options[key] for key in ("dilation", "padding", "stride")}
            rows = F.unfold(x, self.kernel, **options).transpose(1, 2).flatten(0, 1)
        else:
            rows = self._windows(x)
        return F.pad(rows, (0, 1), value=1.0) if bias else rows

    def examples(self, x: Tensor, most: int) -> int:
        """How many examples of x may have their patches made at once, in float64, within ``most`` bytes; at least 1."""
        return max(1, most * len(x) // max(1, 8 * x.numel() * math.prod(self.kernel)))

    def _windows(self, x: Tensor) -> Tensor:
        """The patches of any convolution, by views: [n, channels · kernel]."""
        spatial = len(self.kernel)
        stride, dilation = (_each(self.options[key], spatial) for key in ("stride", "dilation"))
        reach = [d * (k - 1) for d, k in zip(dilation, self.kernel, strict=True)]
        if transposed := self.kind in TRANSPOSED:  # an ordinary one over spread pixels, its kernel turned around
            x, stride = _spread_out(x, stride), [1] * spatial
        pads = [side for sides in reversed(self._pads(reach)) for side in sides]
        x = F.pad(x, pads)
        for dim, (span, step, d) in enumerate(zip(reach, stride, dilation, strict=True), 2):
            x = x.unfold(dim, span + 1, step)[..., ::d]
        if transposed:
            x = x.flip(list(range(2 + spatial, 2 + 2 * spatial)))
        return x.movedim(1, 1 + spatial).flatten(1 + spatial).flatten(0, spatial)

    def _pads(self, reach: list[int]) -> list[tuple[int, int]]:
        """Zeros before and after, by spatial dimension."""
        padding = self.options["padding"]
        if isinstance(padding, str):
            return [(each // 2, each - each // 2) if padding == "same" else (0, 0) for each in reach]
        padding = _each(padding, len(reach))
        if self.kind in CONVOLUTIONS:
            return [(each, each) for each in padding]
        more = _each(self.options["output_padding"], len(reach))
        return [(r - p, r - p + m) for r, p, m in zip(reach, padding, more, strict=True)]

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


def _spread_out(x: Tensor, stride: list[int]) -> Tensor:
    """x with stride - 1 zeros between neighbours."""
    sizes = [(size - 1) * step + 1 for size, step in zip(x.shape[2:], stride, strict=True)]
    spread = x.new_zeros(*x.shape[:2], *sizes)
    at: tuple[Any, ...] = (..., *(slice(None, None, step) for step in stride))
    spread[at] = x
    return spread


def _each(value: Any, spatial: int) -> Any:
    if isinstance(value, str):
        return value
    values = [value] if isinstance(value, int) else list(value)
    return values * spatial if len(values) == 1 else values


def producers_in(graph: Graph) -> Iterator[Producer]:
    """Every operation of the program that multiplies with a parameter in a way that is known, in program order."""
    names = state_names(graph)
    for node in graph.program.exported.graph.nodes:
        if node.op != "call_function":
            continue
        arguments = arguments_of(node)
        weight = weight_argument(arguments)
        if weight is None or weight.name not in names:
            continue
        bias = arguments.get("bias", arguments.get("self") if operation(node) == "addmm" else None)
        bias = names.get(bias.name) if isinstance(bias, fx.Node) else None
        producer = producer_of(node, arguments, names[weight.name], bias)
        if producer is not None:
            yield producer


def state_names(graph: Graph) -> dict[str, str]:
    """Placeholder of the program -> parameter or buffer, of tied ones the first name."""
    first = {alias: name for name, aliases in graph.aliases.items() for alias in aliases}
    return {
        spec.arg.name: first.get(str(spec.target), str(spec.target))
        for spec in graph.program.exported.graph_signature.input_specs
        if spec.kind in {InputKind.PARAMETER, InputKind.BUFFER}
    }


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
