"""What each op registers beside its kernels: a fake for tracing, and a clear refusal of gradients."""

from collections.abc import Callable

import torch
from torch import Tensor

from netsculpt import _library  # noqa: F401  (loading it defines the ops)
from netsculpt.errors import ArgumentError, BackwardError, ShapeError


def register(op: str, fake: Callable[..., object], mutates: bool = False) -> None:
    """Register ``fake`` for shapes, and a backward that says in one sentence that there is none.

    An op that writes into an argument gets no autograd formula (torch allows none); its wrapper refuses.
    """
    name = f"netsculpt::{op}"
    torch.library.register_fake(name, fake)
    if mutates:
        return

    def backward(*_: object) -> None:
        raise BackwardError(f"{op} has no backward: call it under torch.no_grad() or on detached tensors")

    torch.library.register_autograd(name, backward, setup_context=lambda ctx, inputs, output: None)


def require_value(ok: bool, sentence: str) -> None:
    """What shapes, dtypes and devices cannot say: a value that makes no sense."""
    if not ok:
        raise ArgumentError(sentence)


def require(ok: bool, sentence: str) -> None:
    if not ok:
        raise ShapeError(sentence)


def shape(t: Tensor) -> str:
    """A tensor's shape as people write it, for error messages."""
    return f"{list(t.shape)}"
