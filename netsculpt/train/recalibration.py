"""Running statistics of batch norms, measured anew."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils import _pytree as pytree

from netsculpt.errors import ArgumentError


@torch.no_grad()
def recalibrate(model: nn.Module, batches: Iterable[Any]) -> None:
    """Set the running mean and variance of every batch norm to those of the given data, in place.

    What removing units changed for the layers behind is most of what pruning without a refit loses, and needs no
    training to be put right. Batch norms count all batches alike; everything else runs in eval mode, and all modules
    are in the mode afterwards that they were in.

    Args:
        model: any module, with or without batch norms.
        batches: inputs of the model: a tensor, a tuple of arguments, or a dict of keyword arguments, each.

    Raises:
        ArgumentError: there is no batch. After this, or an error of the model's, the statistics are what they were.
    """
    norms = [each for each in model.modules() if isinstance(each, _BatchNorm) and each.running_mean is not None]
    modes = {each: each.training for each in model.modules()}
    momenta = {each: each.momentum for each in norms}
    before = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers()]
    device = next((each.device for each in chain(model.parameters(), model.buffers())), None)
    seen = 0
    try:
        model.eval()
        for given in batches:
            for norm in norms if not seen else ():
                norm.reset_running_stats()
                norm.momentum = None  # the mean of all batches
                norm.train()
            batch = pytree.tree_map_only(Tensor, lambda leaf: leaf if device is None else leaf.to(device), given)
            args = batch if isinstance(batch, tuple) else () if isinstance(batch, dict) else (batch,)
            model(*args, **(batch if isinstance(batch, dict) else {}))
            seen += 1
    except BaseException:
        for buffer, value in before:
            buffer.copy_(value)
        raise
    finally:
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training
    if not seen:
        raise ArgumentError("batches must hold one batch at least")
