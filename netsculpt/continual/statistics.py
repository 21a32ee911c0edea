"""Statistics for the norms of new units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.nn.modules.batchnorm import _NormBase

from netsculpt.continual.work import Work
from netsculpt.errors import ArgumentError
from netsculpt.measure.batches import batch_of, on


@torch.no_grad()
def settle_norms(work: Work, before: Mapping[str, int], loader: Iterable[Any]) -> None:
    """Give the statistics of new units' norms what a batch says; those of the others stay.

    Args:
        work: whose network's last units are new.
        before: axis -> number of the units that are not.
        loader: batches.
    """
    net, buffers = work.net, dict(work.net.named_buffers())
    kept = {name: each.clone() for name, each in buffers.items()}
    given = next(iter(loader), None)
    if given is None:
        raise ArgumentError("loader must hold one batch at least, and be one that can be run through again")
    norms = [module for module in net.modules() if isinstance(module, _NormBase)]
    momenta = [module.momentum for module in norms]
    inputs, _ = on(net, batch_of(given, work.graph))
    net.eval()
    for module in norms:
        module.momentum = 1.0
        module.train()
    net(*inputs.args, **inputs.kwargs)
    net.eval()
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum
    for name, measured in buffers.items():
        old = torch.ones(measured.shape, dtype=torch.bool)
        for axis, size in before.items():
            for place in work.graph[axis].places:
                if place.tensor == name:
                    new = place.entries.entries(torch.arange(size, work.size(axis)))
                    old.index_fill_(place.dim, new, False)
        measured.copy_(torch.where(old.to(measured.device), kept[name], measured))
