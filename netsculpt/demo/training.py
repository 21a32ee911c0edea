"""Train and evaluate: AdamW under half a cosine, the same for every network of the comparison."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from netsculpt.demo.data import Part

BATCH = 64
DECAY = 0.1


class Score(NamedTuple):
    """``loss``: mean cross-entropy in nats; ``accuracy``: the fraction of images answered right."""

    loss: float
    accuracy: float


@torch.no_grad()
def evaluate(net: nn.Module, part: Part) -> Score:
    """Loss and accuracy in eval mode, in which the network is left."""
    net.eval()
    scores = net(part.images.to(next(net.parameters()).dtype))
    return Score(F.cross_entropy(scores, part.labels).item(), (scores.argmax(1) == part.labels).double().mean().item())


def train(net: nn.Module, part: Part, epochs: int, rate: float, seed: int, each_epoch: Callable[[float], None]) -> None:
    """Train in place with a fresh AdamW whose rate falls along a half cosine from ``rate`` to 0.

    ``each_epoch`` is called with the loss over ``part`` in eval mode after every epoch.
    """
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=DECAY, fused=True)
    shuffle = torch.Generator().manual_seed(seed)
    batches = len(part.labels) // BATCH
    for epoch in range(epochs):
        net.train()
        order = torch.randperm(len(part.labels), generator=shuffle)
        for step in range(batches):
            progress = (epoch + step / batches) / epochs
            for group in optimizer.param_groups:
                group["lr"] = rate * (1 + math.cos(math.pi * progress)) / 2
            batch = order[step * BATCH : (step + 1) * BATCH]
            loss = F.cross_entropy(net(part.images[batch]), part.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        each_epoch(evaluate(net, part).loss)
