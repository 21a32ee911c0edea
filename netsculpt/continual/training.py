"""Training where some values stay: what other tasks use does not move, whatever the optimizer does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.graph import Graph
from netsculpt.measure import LossFn
from netsculpt.measure.batches import batch_of, on
from netsculpt.measure.labels import right_of

MakeOptimizer: TypeAlias = Callable[[list[nn.Parameter]], Optimizer]


class Held:
    """Parameters of which some entries stay as they are.

    Args:
        net: whose parameters are held; those that are held whole ask for no gradient until ``free``.
        frozen: parameter name -> bool, of its shape: which entries stay; a parameter that is not named is free.
    """

    def __init__(self, net: nn.Module, frozen: Mapping[str, Tensor]) -> None:
        self.trained: list[nn.Parameter] = []
        self._partly: list[tuple[nn.Parameter, Tensor, Tensor]] = []
        self._asked = {each: each.requires_grad for each in net.parameters()}
        self._hooks = []
        for name, parameter in net.named_parameters():
            stays = frozen.get(name)
            if not parameter.requires_grad or (stays is not None and bool(stays.all())):
                parameter.requires_grad_(False)
                continue
            self.trained.append(parameter)
            if stays is not None and bool(stays.any()):
                stays = stays.to(parameter.device)
                self._partly.append((parameter, stays, parameter.detach().clone()))
                self._hooks.append(parameter.register_hook(lambda grad, stays=stays: grad.masked_fill(stays, 0)))

    @torch.no_grad()
    def restore(self) -> None:
        """Take back what an optimizer did to held entries: weight decay and momentum move them without a gradient."""
        for parameter, stays, values in self._partly:
            parameter.copy_(torch.where(stays, values, parameter))

    def free(self) -> None:
        """Let all parameters ask for gradients as they did before."""
        for hook in self._hooks:
            hook.remove()
        for parameter, asked in self._asked.items():
            parameter.requires_grad_(asked)
            parameter.grad = None


@contextmanager
def held(net: nn.Module, frozen: Mapping[str, Tensor]) -> Iterator[Held]:
    """Hold entries for a while."""
    found = Held(net, frozen)
    try:
        yield found
    finally:
        found.free()


def fit(
    net: nn.Module,
    graph: Graph,
    frozen: Mapping[str, Tensor],
    loader: Iterable[Any],
    loss_fn: LossFn,
    make: MakeOptimizer,
    *,
    epochs: int,
    batches: int | None = None,
    training: bool = True,
) -> float:
    """Train what is not frozen, its rate falling along half a cosine.

    Args:
        net: in place.
        graph: of ``net``, which tells inputs from targets.
        frozen: which entries stay, as ``Held`` has it.
        loader: batches, as for ``measure``; run through ``epochs`` times.
        loss_fn: of an answer and a target, a mean over examples.
        make: the optimizer of the parameters that are trained.
        epochs: how often.
        batches: of every epoch, the first so many; None for all.
        training: in train mode, or in eval mode with norms and dropout at rest.

    Returns:
        The mean loss of the last epoch.

    Raises:
        ArgumentError: the loader has no batches.
        MeasureError: the loss is not finite.
    """
    net.train(training)
    mean = math.nan
    with held(net, frozen) as kept:
        if not kept.trained:
            net.eval()
            return mean
        optimizer = require_optimizer(make(kept.trained))
        count = min(_length(loader), batches or math.inf)
        schedule = CosineAnnealingLR(optimizer, T_max=max(1, int(epochs * count)))
        for epoch in range(epochs):
            mean = _epoch(net, graph, loader, loss_fn, optimizer, schedule, kept, epoch, batches)
    net.eval()
    return mean


def _epoch(
    net: nn.Module,
    graph: Graph,
    loader: Iterable[Any],
    loss_fn: LossFn,
    optimizer: Optimizer,
    schedule: CosineAnnealingLR,
    kept: Held,
    epoch: int,
    batches: int | None,
) -> float:
    total, seen = 0.0, 0
    for number, given in enumerate(loader):
        if batches is not None and number >= batches:
            break
        inputs, target = on(net, batch_of(given, graph))
        with torch.enable_grad():
            loss = loss_fn(net(*inputs.args, **inputs.kwargs), target)
        require_loss(loss, f"batch {number} of epoch {epoch}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        kept.restore()
        total, seen = total + loss.item(), seen + 1
    if not seen:
        raise ArgumentError("loader must hold one batch at least, and be one that can be run through again")
    return total / seen


def require_optimizer(optimizer: object) -> Optimizer:
    """Refuse what takes no steps by gradients alone.

    Raises:
        ArgumentError: it does not.
    """
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, LBFGS):
        what = f"not {type(optimizer).__name__}"
        raise ArgumentError(f"optimizer must make a torch optimizer that steps by gradients, {what}")
    return optimizer


def require_loss(loss: Tensor, where: str) -> None:
    """Stop where a loss says nothing.

    Raises:
        ArgumentError: it is no scalar, or has no gradient.
        MeasureError: it is not finite.
    """
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise ArgumentError("loss_fn must return a scalar tensor, the mean over the batch")
    if not loss.requires_grad:
        raise ArgumentError("loss_fn must return a function of the model's answer that can be differentiated")
    if not bool(torch.isfinite(loss.detach()).all()):
        raise MeasureError(f"the loss of {where} is {float(loss.detach()):g}; a task cannot be learnt from it")


@torch.no_grad()
def accuracy(net: nn.Module, graph: Graph, loader: Iterable[Any], what: str = "validation") -> float:
    """Share of the examples whose class has the largest output, in eval mode.

    Args:
        net: left in eval mode.
        graph: of ``net``.
        loader: batches with class targets.
        what: what the loader is called in an error.

    Raises:
        ArgumentError: there are no batches, or targets are no classes.
    """
    net.eval()
    right = seen = 0
    for given in loader:
        batch = batch_of(given, graph)
        inputs, target = on(net, batch)
        found = right_of(net(*inputs.args, **inputs.kwargs), target)
        if found is None:
            raise ArgumentError(
                f"{what} must have classes as targets, int64 [examples], for the model's [examples, classes]"
            )
        right, seen = right + found[0], seen + batch.size
    if not seen:
        raise ArgumentError(f"{what} must hold one batch at least, and be one that can be run through again")
    return right / seen


def _length(loader: Iterable[Any]) -> float:
    """Batches of a loader; of one that does not say, as many as there are."""
    try:
        return len(loader)  # type: ignore[arg-type]
    except TypeError:
        return sum(1 for _ in loader)
