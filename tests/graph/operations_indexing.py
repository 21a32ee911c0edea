"""Look-ups and entries written by index, along the units and along places."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tests.graph.operations import A, Case, With

ORDER = (3, 1, 0, 2)
READ: dict[str, Callable[[Tensor, int], Tensor]] = {
    "index select": lambda x, dim: A.index_select(x, dim, places(x)),
    "gather": lambda x, dim: A.gather(x, dim, everywhere(x, dim)),
    "take along": lambda x, dim: A.take_along_dim(x, everywhere(x, dim), dim),
}
WRITTEN: dict[str, Callable[[Tensor, int], Tensor]] = {
    "index add": lambda x, dim: A.index_add(x, dim, places(x), x.narrow(dim, 0, 4).tanh()),
    "index copy": lambda x, dim: A.index_copy(x, dim, places(x), x.narrow(dim, 0, 4).tanh()),
    "index fill": lambda x, dim: A.index_fill(x, dim, places(x)[:2], 0.5),
    "index reduce": lambda x, dim: A.index_reduce(x, dim, places(x), x.narrow(dim, 0, 4).exp(), "prod"),
    "scatter": lambda x, dim: A.scatter(x, dim, everywhere(x, dim), x.tanh()),
    "scatter of a number": lambda x, dim: A.scatter(x, dim, everywhere(x, dim).narrow(dim, 0, 2), 0.5),
    "scatter add": lambda x, dim: A.scatter_add(x, dim, everywhere(x, dim), x.tanh()),
    "scatter reduce": lambda x, dim: A.scatter_reduce(x, dim, everywhere(x, dim), x.tanh(), "amax"),
    "select scatter": lambda x, dim: A.select_scatter(x, x.sum(dim), dim, 1),
    "slice scatter": lambda x, dim: A.slice_scatter(x, x.narrow(dim, 0, 2).tanh(), dim, 1, 3),
}
SUM, MEAN, MAX = 0, 1, 2


def places(x: Tensor) -> Tensor:
    return torch.tensor(ORDER, device=x.device)


def everywhere(x: Tensor, dim: int) -> Tensor:
    """An index for every entry of the first four along ``dim``, as large as the rest of ``x``."""
    shape = [4 if d == dim % x.dim() else 1 for d in range(x.dim())]
    return places(x).view(shape).expand_as(x.narrow(dim, 0, 4)) + 0 * x.narrow(dim, 0, 4).long()


def lookup(x: Tensor) -> Tensor:
    """Tokens for embeddings."""
    return (x.detach().abs() * 3).long().clamp(max=6)


def bag(operation: Callable[..., tuple[Tensor, ...]], mode: int) -> Callable[[Tensor, Tensor], Tensor]:
    def body(x: Tensor, weight: Tensor) -> Tensor:
        tokens = lookup(x).flatten()
        return operation(weight.detach(), tokens, torch.arange(4) * 5, False, mode)[0]

    return body


def put(x: Tensor) -> Tensor:
    return A.put(x, torch.tensor([1, 4]), torch.tensor([0.5, 0.25], dtype=x.dtype))


def over_examples(x: Tensor) -> Tensor:
    """Entries of some units written by an index of both examples and units."""
    return A.index_put(x, [None, None, places(x)], x[..., :4].tanh())


INDEXING: dict[str, Case] = {
    "embedding": Case(With(lambda x, weight: A.embedding(weight, lookup(x)).sum(2), (7, 8)), layer="body"),
    "summed bags": Case(With(bag(A.embedding_bag, SUM), (7, 8)), layer="body"),
    "averaged bags": Case(With(bag(A._embedding_bag, MEAN), (7, 8)), layer="body"),
    "largest of bags": Case(With(bag(A._embedding_bag_forward_only, MAX), (7, 8)), layer="body"),
    "index of places": Case(lambda x: A.index(x, [None, places(x)]) + A._unsafe_index(x, [None, places(x)])),
    "index of units": Case(lambda x: A.index(x, [None, None, places(x)]), "frozen", into=4),
    "unsafe index of units": Case(lambda x: A._unsafe_index(x, [None, None, places(x)]), "frozen", into=4),
    "index of examples and places": Case(lambda x: A.index(x, [places(x) % 2, places(x)])),
    "index of examples and units": Case(lambda x: A.index(x, [places(x) % 2, None, places(x)]).t(), "frozen", into=4),
    "index by units": Case(With(lambda x, table: A.index(table, [(x > 0).long()]).sum(-1), (2, 3))),
    "index by a mask of rows": Case(lambda x: A.index(x, [x.sum(-1) > 0])),
    "index by a mask of units": Case(lambda x: x + A.index(x, [x > 0]).sum(), "frozen"),
    "index by a mask of kept units": Case(
        With(lambda x, scores: A.index(x, [None, None, scores > 0.4]), (8,), buffers=True), "frozen", into=3
    ),
    "numbers by a mask of units": Case(
        With(lambda x, scores: A.index_put(x, [(x * scores) > 0.1], torch.tensor(0.5, dtype=x.dtype)), (8,))
    ),
    "numbers by a mask of chosen units": Case(
        With(
            lambda x, scores: A.index_put(x, [None, None, scores > 0.4], torch.tensor(0.5, dtype=x.dtype)),
            (8,),
            buffers=True,
        )
    ),
    "entries by a mask of units": Case(lambda x: A.index_put(x, [x > 0], x[x > 0] * 2), "frozen"),
    "written places": Case(lambda x: A.index_put(x, [torch.tensor([1, 0])], x.tanh())),
    "written examples and places": Case(lambda x: A.index_put(x, [places(x) % 2, places(x)], x[0, :4].tanh(), True)),
    "written units": Case(over_examples, "frozen"),
    "put": Case(put, "frozen"),
    "masked scatter": Case(lambda x: A.masked_scatter(x, x > 0, x.tanh()), "frozen"),
    "triangles of places": Case(lambda x: A.tril(x.mT @ x) @ x.mT[..., :1], "frozen", into=1),
    "lower triangle": Case(lambda x: A.tril(x), "frozen"),
    "upper triangle": Case(lambda x: A.triu(x), "frozen"),
    "triangle of places": Case(lambda x: A.tril(x) + A.triu(x, 1), on="images"),
    "diagonal of places": Case(lambda x: A.diagonal(x, 0, -1, -2), on="images", last="series"),
    "diagonal of examples and places": Case(lambda x: A.diagonal(x, 0, 0, 1).t()),
    "diagonal of units": Case(lambda x: A.diagonal(x, 0, -1, -2), "frozen", into=5),
    "diag of units": Case(lambda x: x + A.diag(x.sum((0, 1)))[0], "frozen"),
    "diag embed": Case(lambda x: A.diag_embed(x).sum(-1), "frozen"),
    "diag embed of places": Case(lambda x: A.diag_embed(x), on="series", last="images"),
}
for _name, _read in READ.items():
    INDEXING[f"{_name} of units"] = Case(lambda x, read=_read: read(x, -1), "frozen", into=4)
for _name, _write in WRITTEN.items():
    INDEXING[f"{_name} of units"] = Case(lambda x, write=_write: write(x, -1), "frozen")
INDEXING["reads of places"] = Case(lambda x: sum(read(x, 1) for read in READ.values()))
INDEXING["writes of places"] = Case(lambda x: sum(write(x, 1) for write in WRITTEN.values()))
