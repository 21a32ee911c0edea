"""Running a model to look at it, and leaving everything as it was."""

from __future__ import annotations

import copy
import gc
import io
import logging
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from itertools import zip_longest
from typing import Any

import torch
from torch import nn

from netsculpt.errors import EditError


@contextmanager
def tracing_mode(model: nn.Module) -> Iterator[None]:
    """``model`` in eval mode, attention in its parts, plain precision; afterwards everything is as it was.

    Modules that keep tensors between calls (tables of angles, masks, counters) would else keep other ones, and outputs
    under autocast would say little about the model's own weights.
    """
    before = [_State(module) for module in model.modules()]
    with _same_buffers(model), plainly(model):
        try:
            model.eval()
            yield
        finally:
            for state in before:
                state.restore()


@contextmanager
def plainly(model: nn.Module) -> Iterator[None]:
    """Attention in its parts, plain precision, for running ``model`` as it was traced."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    devices = {"cpu", *(tensor.device.type for tensor in model.parameters())} - {"meta"}
    with ExitStack() as stack:
        for device in devices:
            stack.enter_context(torch.autocast(device, enabled=False))
        torch.backends.mha.set_fastpath_enabled(False)  # one fused operation instead of its parts
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast_path)


def copied(model: nn.Module) -> nn.Module:
    """A deep copy.

    Raises:
        EditError: the model has an attribute that cannot be copied.
    """
    try:
        return copy.deepcopy(model)
    except (RuntimeError, TypeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        raise EditError(f"model must be one that can be copied: {str(error).splitlines()[0]}") from error


@contextmanager
def no_collections() -> Iterator[None]:
    """Without Python's garbage collector: tracing makes millions of objects that live on, and it looks at all of them.

    On a DenseNet-121 that is a fifth of the time.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def no_messages() -> Iterator[None]:
    """Nothing on stderr: torch prints the program as far as it came where it gives up, which the error sums up."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


class _State:
    """What a module has as attributes, and what the lists and dicts among them hold."""

    def __init__(self, module: nn.Module) -> None:
        self._attributes = vars(module)
        self._held = dict(self._attributes)
        self._lists = [(value, list(value)) for value in self._held.values() if isinstance(value, list)]
        self._dicts = [(value, dict(value)) for value in self._held.values() if isinstance(value, dict)]

    def restore(self) -> None:
        for values, held in self._lists:
            if not _same(values, held):
                values[:] = held
        for mapping, kept in ((self._attributes, self._held), *self._dicts):
            if not _same(mapping, kept) or not _same(mapping.values(), kept.values()):
                mapping.clear()
                mapping.update(kept)


def _same(a: Iterable[Any], b: Iterable[Any]) -> bool:
    """Whether two collections hold the same objects in the same order."""
    return all(x is y for x, y in zip_longest(a, b, fillvalue=_State))


@contextmanager
def _same_buffers(model: nn.Module) -> Iterator[None]:
    """Counters and caches that running the model writes to are afterwards what they were."""
    before = [
        (buffer, buffer.clone(), buffer._version)
        for buffer in model.buffers()
        if not buffer.is_inference() and not buffer.is_meta
    ]
    try:
        yield
    finally:
        for buffer, value, version in before:
            if buffer._version != version:
                with torch.no_grad():
                    buffer.copy_(value)
