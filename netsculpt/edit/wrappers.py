"""What may be wrapped around a model: what is looked through, and what is refused."""

import sys

import torch
from torch import nn

from netsculpt.errors import EditError

_REFUSED = {
    "DistributedDataParallel": "synchronises gradients by the parameters it was built with; use edit.rewrap",
    "FullyShardedDataParallel": "keeps parameters in flat shards; edit the model before it is sharded",
    "FSDPModule": "keeps parameters in shards; edit the model before it is sharded",
    "DTensor": "lies on several devices; edit the model before it is distributed",
}


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside what ``torch.compile`` returned, or the module itself.

    Raises:
        EditError: it is or holds a wrapper or a parameter that edits would break.
    """
    inner: nn.Module = getattr(model, "_orig_mod", model)
    for thing in (*inner.modules(), *inner.parameters()):
        for base in type(thing).__mro__:
            if base.__name__ in _REFUSED:
                raise EditError(f"{base.__name__} {_REFUSED[base.__name__]}.")
    return inner


def forget_compiled() -> None:
    """Makes torch compile again at the next call, everything that it had compiled.

    It would find out by itself about new shapes, but not about forward hooks, which it does not look at again, and
    it would give up compiling a model that has had eight shapes.
    """
    if "torch._dynamo" in sys.modules:  # else nothing was compiled, and importing it takes seconds
        torch.compiler.reset()
