"""What the loss says about every parameter: its gradient, and the squares of the gradients of single examples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor
from torch.func import functional_call
from torch.utils import _pytree as pytree

from netsculpt.errors import MeasureError
from netsculpt.graph.untouched import tracing_mode
from netsculpt.measure.batches import Batch, on
from netsculpt.measure.once import once
from netsculpt.measure.ranks import summed
from netsculpt.measure.statistics import Statistics

Gradients = dict[str, Tensor]


@once
def gradients(stats: Statistics) -> Gradients:
    """The gradient of the mean loss on the calibration data, the model in eval mode; nothing of it gets a ``.grad``.

    Args:
        stats: of the model as it is. One pass forward and back over its batches, which is kept as long as ``stats``.

    Returns:
        Name in ``named_parameters`` -> float64, of the parameter's shape, also of those that do not require gradients;
        zeros where the loss does not depend on one. Of all ranks under torch.distributed.

    Raises:
        MeasureError: the model has changed since it was measured, or a gradient is not finite.
    """
    return _summed(stats, stats.data, lambda gradient, share: gradient * share)


@once
def squared_gradients(stats: Statistics) -> Gradients:
    """The mean over examples of the squares of the gradient of each one's own loss: the empirical Fisher's diagonal.

    Examples go through the model one by one, so this takes as many passes forward and back as there are examples.

    Args:
        stats: of the model as it is. The result is kept as long as ``stats``.

    Returns:
        As ``gradients``, at least 0.

    Raises:
        MeasureError: as ``gradients``.
    """
    single = (example for batch in stats.data for example in examples(batch))
    return _summed(stats, single, lambda gradient, share: gradient.square() * share)


def examples(batch: Batch) -> Iterator[Batch]:
    """The examples of a batch as batches of one; what has no batch dimension is in all of them."""

    def pick(number: int) -> Callable[[Tensor], Tensor]:
        return lambda leaf: leaf[number : number + 1] if leaf.dim() and leaf.shape[0] == batch.size else leaf

    for number in range(batch.size):
        inputs, target = pytree.tree_map_only(Tensor, pick(number), (batch.inputs, batch.target))
        yield Batch(inputs, target, 1)


def _summed(stats: Statistics, batches: Iterable[Batch], term: Callable[[Tensor, float], Tensor]) -> Gradients:
    """The sum over batches of ``term(gradient of the batch's mean loss, the batch's share of all examples)``."""
    total = {name: torch.zeros_like(each, dtype=torch.float64) for name, each in stats.model.named_parameters()}
    with tracing_mode(stats.model), torch.enable_grad():
        for batch in batches:
            for name, gradient in _of(stats, batch).items():
                total[name] += term(gradient.double(), batch.size / stats.examples)
    for name, each in total.items():
        if not bool(summed(each).isfinite().all()):
            raise MeasureError(f"the gradient of {name!r} on the calibration data is not finite")
    return total


def _of(stats: Statistics, batch: Batch) -> Gradients:
    """Of one batch; aliases of the parameters take the gradients, so that frozen ones have some and none is left."""
    inputs, target = on(stats.model, batch)
    aliases = {name: each.detach().requires_grad_() for name, each in stats.model.named_parameters()}
    loss = stats.loss_fn(functional_call(stats.model, aliases, inputs.args, inputs.kwargs), target)
    found = torch.autograd.grad(loss, list(aliases.values()), allow_unused=True)
    return {name: gradient for name, gradient in zip(aliases, found, strict=True) if gradient is not None}
