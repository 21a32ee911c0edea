"""Plain training, and what it took."""

import math
import time

import torch
from torch import nn
from torch.nn import functional as F

from bench.experiments.data import Images

BATCH = 128
RATE, MOMENTUM, DECAY = 0.1, 0.9, 1e-4


def optimizer_of(model: nn.Module) -> torch.optim.SGD:
    return torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, data: Images, epochs: int, seed: int) -> float:
    """SGD whose rate falls along half a cosine to zero over these epochs; seconds of process time."""
    start = time.process_time()
    generator = torch.Generator().manual_seed(seed)
    steps, done = epochs * (len(data.labels) // BATCH), 0
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(data.labels), generator=generator)
        for rows in order[: len(order) // BATCH * BATCH].split(BATCH):
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 + math.cos(math.pi * done / steps)) / 2
            loss = F.cross_entropy(model(data.pictures[rows]), data.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done += 1
    return time.process_time() - start


def evaluate(model: nn.Module, data: Images) -> tuple[float, float]:
    """Mean loss and accuracy in eval mode."""
    model.eval()
    loss, right = 0.0, 0
    with torch.no_grad():
        for pictures, labels in data.batches(1000):
            answers = model(pictures)
            loss += float(F.cross_entropy(answers, labels, reduction="sum"))
            right += int((answers.argmax(1) == labels).sum())
    return loss / len(data.labels), right / len(data.labels)
