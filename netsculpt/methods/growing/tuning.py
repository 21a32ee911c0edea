"""Tuning candidates: gradient steps on their values alone, within a ball."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice

import torch
from torch import Tensor
from torch.optim import LBFGS, Adam, Optimizer

from netsculpt.arguments import is_count, is_number
from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.graph.untouched import plainly
from netsculpt.measure import LossFn
from netsculpt.measure.batches import Batch, on
from netsculpt.measure.ranks import averaged, first, together
from netsculpt.methods.growing.groups import Group
from netsculpt.methods.growing.overlay import Gates, Overlay

FIRST = 0.1  # norm of a split's first offset, of the radius: at zero its gradient is exactly zero
SMALL = 0.01  # of a new unit's first outgoing weights, of the norm of those that are there
TINY = 1e-30
RATE = 0.025  # of Adam, as a share of the root mean square of the numbers that a unit of the model has there
HE = math.sqrt(2)  # norm of a hidden unit's incoming weights that keeps the variance through a ReLU


@dataclass(frozen=True)
class Tuning:
    """How candidates are tuned.

    Attributes:
        batches: gradient steps, a batch each; 0 leaves the candidates as they were drawn.
        optimizer: makes an optimizer of the candidates' values; by default Adam, whose steps are a fortieth of what
            such numbers are in the units of the model.
        radius: bound of the norm of an offset, and of a new unit's incoming and outgoing weights, as a multiple of the
            mean norm of such weights of the axis's units. Steps are projected onto it.
        patience: stop when the mean loss of so many batches is no better than that of as many before; None for never.
        progress: tell on stderr how far it is.
    """

    batches: int = 100
    optimizer: Callable[[list[Tensor]], Optimizer] | None = None
    radius: float = 1.0
    patience: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.batches, bool) or not isinstance(self.batches, int) or self.batches < 0:
            raise ArgumentError(f"batches of a tuning must be a whole number, at least 0, not {self.batches!r}")
        if not is_number(self.radius) or not 0 < self.radius < math.inf:
            raise ArgumentError(f"radius of a tuning must be above 0, not {self.radius!r}")
        if self.patience is not None and not is_count(self.patience):
            raise ArgumentError(f"patience of a tuning must be a number of batches above 0, not {self.patience!r}")
        if self.optimizer is not None and not callable(self.optimizer):
            raise ArgumentError(f"optimizer of a tuning must be a function of tensors or None, not {self.optimizer!r}")


def draw(overlay: Overlay, tuning: Tuning, seed: int) -> None:
    """First values: small offsets in random directions; new units like those that are there, with little weight."""
    for number, group in enumerate(overlay.groups.values()):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        for names, norm in _parts(group, tuning):
            size = FIRST if group.kind == "split" else SMALL if names[0] in group.gated else 1 / tuning.radius
            for name in names:
                values = group.values[name]
                drawn = torch.randn(values.shape, generator=generator, dtype=torch.float64)
                drawn = torch.zeros_like(drawn) if name.endswith("bias") and group.kind != "split" else drawn
                values.copy_(drawn)
            _scale(group, names, partial(_onto, size * norm))
    share(overlay)


def tune(
    overlay: Overlay, batches: Sequence[Batch], loss_fn: LossFn, tuning: Tuning, gates: Gates | None = None
) -> list[float]:
    """Gradient steps on the candidates' values; the losses before each. Ranks take each step together.

    Args:
        overlay: its values are changed.
        batches: used in turn.
        loss_fn: of the model's answer and the target.
        tuning: how.
        gates: which candidates are on; all by default. Those that are off stay what they are.

    Raises:
        MeasureError: the loss is not finite.
    """
    values = [value for group in overlay.groups.values() for value in group.values.values()]
    losses: list[float] = []
    if not values or not tuning.batches:
        return losses
    for value in values:
        value.requires_grad_()
    try:
        optimizer = _optimizer(overlay, tuning, values)
        for number, batch in enumerate(islice(cycle(batches), tuning.batches)):
            loss, found = together(partial(_gradients, overlay, batch, loss_fn, gates, values))
            mean, *gradients = averaged([loss, *found], [loss, *values], batch.size)
            for value, gradient in zip(values, gradients, strict=True):
                value.grad = gradient
            optimizer.step()
            project(overlay, tuning)
            losses.append(float(loss if mean is None else mean))
            if tuning.progress:
                _tell(number + 1, tuning.batches, losses[-1])
            if tuning.patience is not None and stands_still(losses, tuning.patience):
                break
    finally:
        for value in values:
            value.requires_grad_(False)
            value.grad = None
        if tuning.progress and losses:
            print(file=sys.stderr)
    share(overlay)
    return losses


@torch.no_grad()
def share(overlay: Overlay) -> None:
    """Let all ranks have the first one's candidates."""
    for group in overlay.groups.values():
        for value in group.values.values():
            first(value)


def _adam(overlay: Overlay, tuning: Tuning) -> Optimizer:
    """Steps in proportion to what is there: one rate for weights of 0.02 and of 0.5 would be wrong for both."""
    groups = []
    for group in overlay.groups.values():
        for names, bound in _parts(group, tuning):
            entries = sum(group.values[name].shape[1] for name in names)
            rate = RATE * bound / tuning.radius / math.sqrt(entries)
            groups.append({"params": [group.values[name] for name in names], "lr": rate})
    return Adam(groups)


def batch_loss(overlay: Overlay, batch: Batch, loss_fn: LossFn, tensors: dict[str, Tensor]) -> Tensor:
    """The mean loss of a batch.

    Raises:
        ArgumentError: it is no scalar.
        MeasureError: it is not finite.
    """
    inputs, target = on(overlay.net, batch)
    with plainly(overlay.net):
        loss = loss_fn(overlay.run(inputs, tensors), target)
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        raise ArgumentError("loss_fn must return a scalar tensor, the mean over the batch")
    if not bool(loss.isfinite()):
        raise MeasureError(f"the loss with candidates attached is {float(loss.detach())}; tune with a smaller radius")
    if torch.is_grad_enabled() and not loss.requires_grad:
        raise ArgumentError("loss_fn must return a function of the model's answer that can be differentiated")
    return loss.reshape(())


def _optimizer(overlay: Overlay, tuning: Tuning, values: list[Tensor]) -> Optimizer:
    if tuning.optimizer is None:
        return _adam(overlay, tuning)
    optimizer = tuning.optimizer(values)
    if not isinstance(optimizer, Optimizer) or isinstance(optimizer, LBFGS):
        what = f"not {type(optimizer).__name__}"
        raise ArgumentError(f"optimizer of a tuning must make a torch optimizer that steps by gradients, {what}")
    return optimizer


def _gradients(
    overlay: Overlay, batch: Batch, loss_fn: LossFn, gates: Gates | None, values: list[Tensor]
) -> tuple[Tensor, tuple[Tensor | None, ...]]:
    """The loss of a batch on this rank, and its gradient by the candidates' values."""
    with plainly(overlay.net), torch.enable_grad():
        loss = batch_loss(overlay, batch, loss_fn, overlay.tensors(gates))
        return loss.detach(), torch.autograd.grad(loss, values, allow_unused=True)


@torch.no_grad()
def project(overlay: Overlay, tuning: Tuning) -> None:
    """Bring the candidates' values back into their balls."""
    for group in overlay.groups.values():
        for names, norm in _parts(group, tuning):
            _scale(group, names, partial(_into, norm))


def stands_still(losses: Sequence[float], patience: int) -> bool:
    """Whether the mean of the last ``patience`` losses is no better than that of as many before."""
    if len(losses) < 2 * patience:
        return False
    return sum(losses[-patience:]) >= sum(losses[-2 * patience : -patience])


def _parts(group: Group, tuning: Tuning) -> Iterable[tuple[list[str], float]]:
    """Names whose values a bound holds for together, and the bound."""
    made = [name for name in group.values if group.kind == "split" or name not in group.gated]
    used = [name for name in group.values if name not in made]
    bounds = (HE, 1 / math.sqrt(group.size)) if group.kind == "layer" else group.norms
    found = zip((made, used), bounds, strict=True)
    return [(names, tuning.radius * bound) for names, bound in found if names]


def _onto(radius: float, norms: Tensor) -> Tensor:
    return radius / norms.clamp(min=TINY)


def _into(radius: float, norms: Tensor) -> Tensor:
    return (radius / norms.clamp(min=TINY)).clamp(max=1)


@torch.no_grad()
def _scale(group: Group, names: Sequence[str], factor: Callable[[Tensor], Tensor]) -> None:
    norms = torch.stack([group.values[name].double().square().sum(1) for name in names]).sum(0).sqrt()
    by = factor(norms)
    for name in names:
        group.values[name].mul_(by.to(group.values[name].dtype)[:, None])


def _tell(done: int, of: int, loss: float) -> None:
    print(f"\rtuning candidates {done}/{of}, loss {loss:.4g}", end="", file=sys.stderr, flush=True)
