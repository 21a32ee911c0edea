"""Fake tensors in the place of a model's own, while it runs on shapes alone.

torch makes a fake tensor of each real one that it meets, every time anew: that takes longer than the operations, and
what it finds out about operations on real tensors it does not keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

PLAIN = (Tensor, nn.Parameter)  # what a fake tensor can stand in for; subclasses may be more than their shapes


class _StandIn(NamedTuple):
    store: dict[str, Any]  # of a module: its parameters or its buffers
    name: str
    real: Tensor
    fake: Tensor


class StandIns:
    """A fake tensor for each parameter and buffer of a model."""

    def __init__(self, model: nn.Module, mode: FakeTensorMode) -> None:
        made: dict[int, Tensor] = {}
        self._found: list[_StandIn] = []
        for module in model.modules():
            if type(module).__setattr__ is not nn.Module.__setattr__:
                continue  # it keeps its tensors in other places too, as torch's LSTM does
            for store in (module._parameters, module._buffers):
                for name, real in store.items():
                    if real is not None and type(real) in PLAIN and real.layout is torch.strided:
                        if id(real) not in made:
                            made[id(real)] = _fake(real, mode)
                        self._found.append(_StandIn(store, name, real, made[id(real)]))

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """The model with fake tensors, but where something else has taken a tensor's place."""
        swapped = [each for each in self._found if each.store.get(each.name) is each.real]
        try:
            for store, name, _, fake in swapped:
                store[name] = fake
            yield
        finally:
            for store, name, real, _ in swapped:
                store[name] = real


def _fake(real: Tensor, mode: FakeTensorMode) -> Tensor:
    with mode:
        fake = torch.empty_strided(real.size(), real.stride(), dtype=real.dtype, device=real.device)
    return nn.Parameter(fake, requires_grad=False) if isinstance(real, nn.Parameter) else fake
