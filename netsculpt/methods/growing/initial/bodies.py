"""What a new unit answers to small incoming weights: the slopes of its body, and what pools it on its way.

Everything between the layers that make units and those that use them is followed with one number per unit, as the
edits will make a new one: batch norms with mean 0, variance 1, scale 1 and offset 0, nothing added.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx

from netsculpt.errors import MeasureError
from netsculpt.graph import Graph
from netsculpt.graph.source import is_pointwise, source_of
from netsculpt.measure.nodes import arguments_of, operation, written_by
from netsculpt.measure.playback import state_of
from netsculpt.measure.producers import state_names
from netsculpt.measure.units import Unit

PASSING = {
    "clone", "contiguous", "alias", "to", "_to_copy", "dropout", "detach", "view", "reshape", "flatten", "unflatten",
    "squeeze", "unsqueeze", "cat",
}  # fmt: skip
POOLS = {"mean", "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d", "max_pool3d"}
ADDING = {"add", "sub", "subtract"}

Pools = tuple[fx.Node, ...]


class Slope(NamedTuple):
    """How a value moves with a producer's result: by a factor, averaged by pools."""

    factor: float
    pools: Pools


@dataclass(frozen=True)
class Response:
    """One value of a new unit.

    Attributes:
        value: what it is.
        slopes: number of the producer -> how it moves with that one's result.
    """

    value: float
    slopes: Mapping[int, Slope] = field(default_factory=dict)


class Body:
    """The body of new units of an axis.

    Args:
        unit: the axis's units.
        graph: of the model.
    """

    def __init__(self, unit: Unit, graph: Graph) -> None:
        self._unit = unit
        self._names = state_names(graph)
        self._state = state_of(graph.program.exported)
        self.followers = dict(self._followers())
        self.lifts = [self._lift(producer.node) or producer.bias for producer in unit.producers]

    def responses(self, start: float = 0.0, bias: float = 0.0) -> dict[tuple[str, str], Response]:
        """The values at all uses.

        Args:
            start: every producer's result.
            bias: in the batch norm behind each producer, or in its own bias: ``lifts`` names them.

        Raises:
            MeasureError: an operation of the body cannot be followed.
        """
        lifted = {name: bias for name in self.lifts if name is not None}
        now: dict[str, Response] = {}
        for number, producer in enumerate(self._unit.producers):
            own = lifted.get(producer.bias, 0.0) if producer.bias is not None else 0.0
            now[producer.node] = Response(start + own, {number: Slope(1.0, ())})
        for node in self._unit.body:
            now[node.name] = self._answer(node, now, lifted)
            written = written_by(node)
            if written is not None:
                now[written] = now[node.name]
        return {(value, user): now[value] for value, user in self._unit.uses}

    def _answer(self, node: fx.Node, now: Mapping[str, Response], lifted: Mapping[str, float]) -> Response:
        name = operation(node)
        inside = [each for each in node.all_input_nodes if each.name in now]
        if name in POOLS or name.startswith("adaptive_avg_pool"):
            (only,) = inside
            before = now[only.name]
            return Response(before.value, {k: Slope(s.factor, (*s.pools, node)) for k, s in before.slopes.items()})
        if name in PASSING and len(inside) == 1:
            return now[inside[0].name]
        if "batch_norm" in name:
            return self._normed(node, now[inside[0].name], lifted)
        if not isinstance(node.target, torch._ops.OpOverload) or not is_pointwise(node.target):
            raise MeasureError(
                f"new units of {self._unit.axis!r} cannot be followed through {source_of(node)}: only batch norms, "
                "pools and operations on single entries are known"
            )
        return self._pointwise(node, now)

    def _normed(self, node: fx.Node, before: Response, lifted: Mapping[str, float]) -> Response:
        arguments = arguments_of(node)
        factor = (1 + float(arguments["eps"])) ** -0.5
        offset = arguments.get("bias")
        more = lifted.get(self._names.get(offset.name, ""), 0.0) if isinstance(offset, fx.Node) else 0.0
        slopes = {k: Slope(s.factor * factor, s.pools) for k, s in before.slopes.items()}
        return Response(before.value * factor + more, slopes)

    def _pointwise(self, node: fx.Node, now: Mapping[str, Response]) -> Response:
        leaves = {
            each.name: torch.full((1, 1), now[each.name].value, dtype=torch.float64, requires_grad=True)
            for each in node.all_input_nodes
            if each.name in now
        }

        def given(each: fx.Node) -> Tensor:
            return leaves[each.name].clone() if each.name in leaves else self._side(node, each)

        with torch.enable_grad():
            args, kwargs = fx.node.map_arg((node.args, node.kwargs), given)
            result: Tensor = node.target(*args, **kwargs)  # type: ignore[operator]
            found = torch.autograd.grad(result.sum(), list(leaves.values()), allow_unused=True)
        slopes: dict[int, Slope] = {}
        for name, gradient in zip(leaves, found, strict=True):
            factor = 0.0 if gradient is None else float(gradient)
            for number, slope in now[name].slopes.items():
                self._add(slopes, number, Slope(slope.factor * factor, slope.pools), node)
        return Response(float(result.detach()), slopes)

    def _add(self, slopes: dict[int, Slope], number: int, slope: Slope, node: fx.Node) -> None:
        before = slopes.get(number)
        if before is None or before.factor == 0:
            slopes[number] = slope
        elif slope.factor != 0:
            if before.pools != slope.pools:
                raise MeasureError(f"new units of {self._unit.axis!r} meet in {source_of(node)} after different pools")
            slopes[number] = Slope(before.factor + slope.factor, slope.pools)

    def _side(self, node: fx.Node, operand: fx.Node) -> Tensor:
        """What an operand from elsewhere is for a new unit."""
        name = self._names.get(operand.name)
        if name in self.followers:
            return torch.full((1,), self.followers[name], dtype=torch.float64)
        if name is not None and self._state[name].numel() == 1:
            return self._state[name].detach().double().reshape(1)
        raise MeasureError(
            f"new units of {self._unit.axis!r} meet {operand.name} in {source_of(node)}, which depends on the data"
        )

    def _followers(self) -> list[tuple[str, float]]:
        """Parameters and buffers that the body takes, and what they are for a new unit."""
        found: list[tuple[str, float]] = []
        for node in self._unit.body:
            name = operation(node)
            ones = ("weight", "running_var") if "batch_norm" in name else ()
            for role, each in arguments_of(node).items():
                if not isinstance(each, fx.Node) or each.name not in self._names:
                    continue
                tensor = self._state[self._names[each.name]]
                if role in ones:
                    value = 1.0
                elif "batch_norm" in name or name in ADDING:
                    value = 0.0
                elif tensor.numel() == 1:
                    continue
                else:
                    value = float(tensor.detach().double().mean())
                found.append((self._names[each.name], value))
        return found

    def _lift(self, producer: str) -> str | None:
        """The offset of the batch norm that takes a producer's result."""
        for node in self._unit.body:
            if "batch_norm" in operation(node) and any(each.name == producer for each in node.all_input_nodes):
                bias = arguments_of(node).get("bias")
                return self._names.get(bias.name) if isinstance(bias, fx.Node) else None
        return None


def pooled(node: fx.Node, x: Tensor, channel: int) -> Tensor:
    """A pool of the body at other values, of any number of channels.

    A maximum passes on the first of equal entries, as torch does: what new units without incoming weights have.

    Raises:
        MeasureError: it pools over examples or units.
    """
    name = operation(node)
    arguments = arguments_of(node)
    if name == "mean":
        dims = arguments.get("dim")
        if not dims or {dim % x.dim() for dim in dims} & {0, channel % x.dim()}:
            raise MeasureError(f"new units are averaged over examples or with other units in {source_of(node)}")
    if not name.startswith("max_pool"):
        rest = {key: value for key, value in arguments.items() if key not in ("self", "input", "dtype")}
        call: Callable[..., Tensor] = node.target  # type: ignore[assignment]
        return call(x, **rest)
    return _first_of_windows(x, node, arguments)


def _first_of_windows(x: Tensor, node: fx.Node, arguments: Mapping[str, Any]) -> Tensor:
    sizes = node.meta["val"].shape[2:]
    spatial = len(sizes)
    stride = arguments["stride"] or arguments["kernel_size"]
    for dim, (size, step, pad) in enumerate(
        zip(sizes, _each(stride, spatial), _each(arguments["padding"], spatial), strict=True), 2
    ):
        first = (torch.arange(int(size), device=x.device) * step - pad).clamp(min=0)
        x = x.index_select(dim, first)
    return x


def _each(value: Any, spatial: int) -> list[int]:
    values = [value] if isinstance(value, int) else list(value)
    return values * spatial if len(values) == 1 else values
