"""New tensors beside the units: as large as they are, the same everywhere, random, or with an order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from tests.graph.operations import A, Case, units

DOUBLE: dict[str, Any] = {"dtype": torch.float64}


def uniform(x: Tensor) -> Tensor:
    n = units(x)
    y = x * A.ones([n], **DOUBLE) + A.full([n], 0.5, **DOUBLE) * A.new_ones(x, [n]) * A.new_full(x, [n], 2.0)
    return y * A.scalar_tensor(2.0, **DOUBLE)


def zeros(x: Tensor) -> Tensor:
    n = units(x)
    y = x + A.zeros([n], **DOUBLE) + A.new_zeros(x, [n])
    fresh = [A.empty([n], **DOUBLE), A.new_empty(x, [n]), A.empty_permuted([5, n], [1, 0], **DOUBLE)]
    fresh += [A.empty_strided([n], [1], **DOUBLE), A.new_empty_strided(x, [n], [1])]
    for each in fresh:
        y = y + each.fill_(1.0)
    return y


def alike(x: Tensor) -> Tensor:
    y = x * A.ones_like(x) + A.zeros_like(x) + A.full_like(x, 0.5) + A.empty_like(x).zero_()
    return y + 0 * (A.rand_like(x) + A.randn_like(x) + A.randint_like(x, 5))


def random(x: Tensor) -> Tensor:
    y = A.normal_(x.clone()) + A.uniform_(x.clone()) + A.random_(x.clone(), 5) + A.exponential_(x.clone())
    y = y + A.log_normal_(x.clone()) + A.cauchy_(x.clone()) + A.geometric_(x.clone(), 0.5)
    return x + 0 * y.clamp(-1, 1)


def drawn(x: Tensor) -> Tensor:
    """From distributions that leave nothing to chance."""
    return A.bernoulli((x > 0).double()) + A.poisson(A.zeros_like(x)) + A.normal(x, 0.0)


SEQUENCES: dict[str, Callable[[int], Tensor]] = {
    "arange": lambda n: A.arange(n, **DOUBLE),
    "linspace": lambda n: A.linspace(0, 1, n, **DOUBLE),
    "logspace": lambda n: A.logspace(0, 1, n, **DOUBLE),
    "hann window": lambda n: A.hann_window(n, **DOUBLE),
    "eye": lambda n: A.eye(n, **DOUBLE)[0],
    "lower triangle": lambda n: A.tril_indices(n, n)[0, :n],
    "upper triangle": lambda n: A.triu_indices(n, n)[0, :n],
    "uniform noise": lambda n: 0 * A.rand([n], **DOUBLE),
    "normal noise": lambda n: 0 * A.randn([n], **DOUBLE),
    "random integers": lambda n: 0 * A.randint(5, [n]),
    "random order": lambda n: 0 * A.randperm(n),
}

CREATION: dict[str, Case] = {
    "uniform": Case(uniform),
    "zeros": Case(zeros),
    "alike": Case(alike),
    "random": Case(random),
    "drawn": Case(drawn),
    "of a written size": Case(lambda x: x + A.full([8], 0.5, **DOUBLE), "frozen"),
    "one hot of entries": Case(lambda x: (A.one_hot((x > 0).long(), 3) * torch.arange(3)).sum(-1).double()),
    "one hot of positions": Case(lambda x: A.one_hot(x.argmax(-1), 8).double(), "frozen"),
    "positions of units": Case(lambda x: x + A.nonzero(x > 0).sum(), "frozen"),
    "grid beside units": Case(
        lambda x: (
            x + A.affine_grid_generator(torch.rand(2, 2, 3, **DOUBLE) * 0, [2, 1, 5, 2], False).sum((2, 3))[..., None]
        )
    ),
    "draw of a unit": Case(
        lambda x: x + A.multinomial((x[:, 0] == x[:, 0].amax(-1, True)).double(), 1)[:, None], "frozen"
    ),
}
for _name, _sequence in SEQUENCES.items():
    CREATION[f"{_name} along units"] = Case(lambda x, made=_sequence: x + made(units(x)), "frozen")
CREATION["sequences along places"] = Case(
    lambda x: x + torch.stack([made(5) for made in SEQUENCES.values()], -1).sum(-1)[:, None]
)
