"""What one batch says about the units of one axis: how the loss bends with their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn.attention import SDPBackend, sdpa_kernel

from netsculpt.graph.source import named_arguments
from netsculpt.measure.coordinates import Coordinates, Shift
from netsculpt.measure.kinks import KINKED, Kernel, surrogate
from netsculpt.measure.nodes import operation, written_by
from netsculpt.measure.units import Unit

Kernels = Callable[[Tensor, Sequence[Tensor]], Kernel]  # of what bends and what it depends on


@dataclass(frozen=True, eq=False)
class Sample:
    """One batch and the units of one axis: S = Xᵀ H X, with X the producers and H the body's second derivative.

    Attributes:
        unit: the units.
        inputs: what each producer multiplies.
        results: what each producer gives.
        sides: what the body takes besides.
        gradients: dL/dh at every use of the units, L the batch's mean loss times its share.
        kernels: what stands for second derivatives at kinks.
    """

    unit: Unit
    inputs: tuple[Tensor, ...]
    results: tuple[Tensor, ...]
    sides: Mapping[str, Any]
    gradients: Mapping[tuple[str, str], Tensor]
    kernels: Kernels

    @cached_property
    def bend(self) -> Bend:
        """The body's second derivative at this batch."""
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):  # the others cannot be differentiated twice
            results = [each.detach().requires_grad_() for each in self.results]
            total = sum((self.gradients[use] * value).sum() for use, value in self._run(results, self.kernels))
            slopes = torch.autograd.grad(total, results, create_graph=True, allow_unused=True)  # type: ignore[arg-type]
            if not self.unit.diagonal:
                return Bend(self, None, results, slopes)
            (slope,) = slopes
            if slope is None or not slope.requires_grad:
                return Bend(self, torch.zeros_like(results[0]), [], [])
            # One entry depends on one entry: the sum of all rows of the second derivative is its diagonal.
            (q,) = torch.autograd.grad(slope.sum(), results, allow_unused=True)
            if q is None:
                q = torch.zeros_like(results[0])
        return Bend(self, q, [], [])

    def change(self, coordinates: Coordinates, v: Tensor) -> Tensor:
        """⟨g, h(θ + v) - h(θ)⟩ of every unit for directions [m, d], whatever the size of v: float64 [m].

        The body is run for real, kinks and all; only the rest of the network is taken at first order.
        """
        with torch.no_grad():
            moved = [y + u for y, u in zip(self.results, self.respond(coordinates, v), strict=True)]
            found = torch.zeros(self.unit.size, dtype=torch.float64, device=v.device)
            for (use, here), (_, there) in zip(self._run(self.results, None), self._run(moved, None), strict=True):
                dim, unit = self.unit.places[use[0]]
                products = (self.gradients[use] * (there - here)).movedim(dim, 0).flatten(1).sum(1, dtype=torch.float64)
                unit = unit.to(v.device)
                found.index_add_(0, unit.clamp(min=0), torch.where(unit < 0, 0.0, products))
        return found

    def rows(self) -> tuple[Tensor, Tensor] | None:
        """x [n, d] and q [n, m] with S = Σ q x xᵀ, where the second derivative is diagonal; else None."""
        if not self.unit.explicit:
            return None
        (producer,), (x,) = self.unit.producers, self.inputs
        q = self.bend.q
        assert q is not None
        patches = producer.patches(x, self.unit.weights[0].bias is not None)
        return patches, q.movedim(producer.channel, -1).reshape(-1, self.unit.size)

    def respond(self, coordinates: Coordinates, v: Tensor) -> list[Tensor]:
        """How the producers' results move with directions [m, d]: X v."""
        shifts = dict(zip((weight.name for weight in self.unit.weights), coordinates.shifts(v), strict=True))
        return [
            producer.respond(x, *shifts[producer.weight])
            for producer, x in zip(self.unit.producers, self.inputs, strict=True)
        ]

    def collect(self, coordinates: Coordinates, responses: Sequence[Tensor]) -> Tensor:
        """Xᵀ w: [m, d]."""
        biased = {weight.name: weight.bias is not None for weight in self.unit.weights}
        total: dict[str, Shift] = {}
        for producer, x, w in zip(self.unit.producers, self.inputs, responses, strict=True):
            parameter = coordinates.parameter(producer.weight)
            found = Shift(*producer.gather(x, w, parameter, biased[producer.weight]))
            before = total.get(producer.weight)
            total[producer.weight] = found if before is None else before.plus(found)
        return coordinates.join([total[weight.name] for weight in self.unit.weights])

    def _run(self, results: Sequence[Tensor], kernels: Kernels | None) -> Iterator[tuple[tuple[str, str], Tensor]]:
        """The values at all uses for given results of the producers."""

        def call(node: fx.Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            name = operation(node)
            if kernels is not None and name in KINKED:
                arguments = named_arguments(node, args, kwargs)
                z = arguments.get("self", arguments.get("input"))
                found = surrogate(name, arguments, kernels(z, results))  # type: ignore[arg-type]
                if found is not None:
                    return found
            if name == "batch_norm":  # frozen, it scales and shifts; torch differentiates it twice in many passes
                return _frozen_norm(**named_arguments(node, args, kwargs))
            if name == "view":  # memory need not lie as it did: attention in its parts gives another layout
                return args[0].reshape(args[1])
            if written_by(node) is not None:
                args = (args[0].clone(), *args[1:])
            return node.target(*args, **kwargs)  # type: ignore[operator]

        values = {**self.sides, **{p.node: y for p, y in zip(self.unit.producers, results, strict=True)}}
        for value, user, result in _evaluated(self.unit, values, call):
            yield (value, user), result


class Bend:
    """H, the second derivative of a body at one batch, ready to be multiplied with."""

    def __init__(
        self, sample: Sample, q: Tensor | None, results: Sequence[Tensor], slopes: Sequence[Tensor | None]
    ) -> None:
        self._sample = sample
        self.q = q
        self._results = results
        self._slopes = slopes

    def product(self, coordinates: Coordinates, v: Tensor) -> Tensor:
        """Xᵀ H X v for all units at once: [m, d]."""
        u = self._sample.respond(coordinates, v)
        # In place where that will do: the responses are nobody else's, and fresh memory costs more than the product.
        return self._sample.collect(coordinates, self.times(u) if self.q is None else [u[0].mul_(self.q)])

    def times(self, u: Sequence[Tensor]) -> list[Tensor]:
        """H u, u like the producers' results."""
        if self.q is not None:
            return [self.q * u[0]]
        bent = [(slope, each) for slope, each in zip(self._slopes, u, strict=True) if slope is not None]
        bent = [(slope, each) for slope, each in bent if slope.requires_grad]
        if not bent:
            return [torch.zeros_like(each) for each in u]
        slopes, directions = zip(*bent, strict=True)
        found = torch.autograd.grad(slopes, self._results, directions, retain_graph=True, allow_unused=True)
        return [torch.zeros_like(y) if w is None else w for w, y in zip(found, u, strict=True)]


def _evaluated(unit: Unit, values: Mapping[str, Any], call: Any) -> Iterator[tuple[str, str, Tensor]]:
    """Run the body: yields (value's name, mixing operation, value) for all uses.

    Args:
        unit: its body is run.
        values: the producers' results and the sides, by name.
        call: runs one operation: ``call(node, arguments by name)``.
    """
    now = dict(values)
    for node in unit.body:
        given = fx.node.map_arg((node.args, node.kwargs), lambda each: now[each.name])
        result = call(node, given[0], given[1])
        now[node.name] = result
        written = written_by(node)
        if written is not None:
            now[written] = result
    for value, user in unit.uses:
        yield value, user, now[value]


def _frozen_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    eps: float,
    **_: Any,
) -> Tensor:
    scale = (running_var + eps).rsqrt() * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - running_mean * scale
    shape = [-1] + [1] * (input.dim() - 2)
    return input * scale.detach().reshape(shape).to(input.dtype) + shift.detach().reshape(shape).to(input.dtype)
