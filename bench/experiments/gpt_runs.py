"""A GPT in training: its optimizer, what it cost so far, and its loss on the way."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from bench.experiments.characters import Text
from bench.experiments.gpt import size

BATCH = 32
RATE, DECAY, BETAS = 3e-3, 0.01, (0.9, 0.99)
WARM, COOL = 50, 0.25  # steps at the start, and the share of steps at the end, with a lower rate
EVERY = 100  # steps, one look at the held-out text
LOOK, FINAL = 512, 4096  # windows


def loss_of(answers: Tensor, targets: Tensor) -> Tensor:
    """Mean cross-entropy of the next characters, in nats."""
    return F.cross_entropy(answers.flatten(0, 1), targets.flatten())


def rate(done: int, total: int) -> float:
    """Up in some steps, level, and down to zero over the last quarter."""
    return RATE * min(1.0, (done + 1) / WARM, (total - done) / (COOL * total))


class Run:
    """One network's training.

    Attributes:
        done: steps.
        seconds: of process time, training and growing; `grown` of them growing.
        compute: multiply-accumulates of forward passes, in training; growing counts as many as training at the rate
            before it would have done in its time.
        curve: at some steps `step`, `params`, `compute`, `seconds`, and `loss` on held-out text.
        before: the held-out loss before the last growth.
    """

    def __init__(self, model: nn.Module, text: Text, context: int, total: int, seed: int) -> None:
        self.model, self.text, self.context, self.total = model, text, context, total
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, betas=BETAS)
        self.generator = torch.Generator().manual_seed(seed)
        self.done, self.seconds, self.grown, self.compute = 0, 0.0, 0.0, 0.0
        self.curve: list[dict[str, float]] = []
        self.before, self.speed, self._traced = 0.0, 0.0, (0, 0)
        self.look()

    def fork(self) -> "Run":
        """A copy that goes on by itself; the text is shared."""
        return copy.deepcopy(self, {id(self.text): self.text})

    def train(self, steps: int) -> None:
        each, spent = BATCH * self.macs(), self.seconds
        for number in range(1, steps + 1):
            start = process_time()
            self.step()
            self.seconds += process_time() - start
            self.compute += each
            if number == steps or self.done % EVERY == 0:
                self.look()
        self.speed = each * steps / (self.seconds - spent)

    def step(self) -> None:
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = rate(self.done, self.total)
        inputs, targets = self.text.drawn(BATCH, self.context, self.generator)
        loss = loss_of(self.model(inputs), targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.done += 1

    @contextmanager
    def growing(self) -> Iterator[None]:
        """Counts what is done inside as growing."""
        self.before, start = self.curve[-1]["loss"], process_time()
        yield
        spent = process_time() - start
        self.seconds, self.grown = self.seconds + spent, self.grown + spent
        self.compute += self.speed * spent
        self.look()

    def macs(self) -> int:
        """Of the forward pass of one window; a model that grew is traced anew."""
        if self._traced[0] != size(self.model):
            macs = ns.trace(self.model, self.text.judging(2, self.context)[0]).cost().macs
            self._traced = size(self.model), macs
        return self._traced[1]

    def look(self) -> None:
        found = {"step": self.done, "params": size(self.model), "compute": self.compute, "seconds": self.seconds}
        self.curve.append(found | {"loss": self.held(LOOK)})

    @torch.no_grad()
    def held(self, windows: int) -> float:
        """The mean loss on held-out text."""
        self.model.eval()
        parts = zip(*(each.split(256) for each in self.text.judging(windows, self.context)), strict=True)
        return sum(float(loss_of(self.model(inputs), targets)) * len(inputs) for inputs, targets in parts) / windows

    def told(self) -> dict[str, Any]:
        found = {"params": size(self.model), "macs": self.macs(), "steps": self.done, "loss": self.held(FINAL)}
        found |= {"compute": self.compute, "seconds": self.seconds, "growing": self.grown}
        return found | {"curve": self.curve}
