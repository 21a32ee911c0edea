"""Reductions and orders, along the units and along places."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tests.graph.operations import A, Body, Case, With

REDUCED: dict[str, Callable[[Tensor, int], Tensor]] = {
    "amax": lambda x, dim: A.amax(x, [dim], True),
    "amin": lambda x, dim: A.amin(x, [dim], True),
    "aminmax": lambda x, dim: torch.sub(*A.aminmax(x, dim=dim, keepdim=True)),
    "prod": lambda x, dim: A.prod(x, dim, True),
    "var": lambda x, dim: A.var(x, [dim], True, True),
    "std": lambda x, dim: A.std(x, [dim], True, True),
    "var mean": lambda x, dim: torch.sub(*A.var_mean(x, [dim], True, True)),
    "std mean": lambda x, dim: torch.sub(*A.std_mean(x, [dim], True, True)),
    "norm": lambda x, dim: A.norm(x, 2, [dim], True),
    "vector norm": lambda x, dim: A.linalg_vector_norm(x, 3, [dim], True),
    "linalg norm": lambda x, dim: A.linalg_norm(x, 2, [dim], True),
    "frobenius norm": lambda x, dim: A.frobenius_norm(x, [dim], True),
    "logsumexp": lambda x, dim: A.logsumexp(x, [dim], True),
    "any and all": lambda x, dim: A.any(x > 0.5, dim, True).double() + A.all(x > -0.5, dim, True),
    "count": lambda x, dim: A.count_nonzero(x > 0, dim).unsqueeze(dim).double(),
    "nanmean": lambda x, dim: A.nanmean(x, [dim], True),
    "quantile": lambda x, dim: A.quantile(x, 0.3, dim, True),
    "nanquantile": lambda x, dim: A.nanquantile(x, 0.3, dim, True),
}
ANSWERING_WITH_POSITIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "max": lambda x, dim: A.max(x, dim, True)[0],
    "min": lambda x, dim: A.min(x, dim, True)[0],
    "median": lambda x, dim: A.median(x, dim, True)[0],
    "nanmedian": lambda x, dim: A.nanmedian(x, dim, True)[0],
    "mode": lambda x, dim: A.mode((2 * x).round(), dim, True)[0],
    "kthvalue": lambda x, dim: A.kthvalue(x, 2, dim, True)[0],
}
POSITIONS: dict[str, Callable[[Tensor, int], Tensor]] = {
    "argmax": lambda x, dim: A.argmax(x, dim, True).double(),
    "argmin": lambda x, dim: A.argmin(x, dim, True).double(),
    "argmax of max": lambda x, dim: A.max(x, dim, True)[1].double(),
    "argmedian": lambda x, dim: A.median(x, dim, True)[1].double(),
}
NORMALISED: dict[str, Callable[[Tensor, int], Tensor]] = {
    "softmax": lambda x, dim: A.softmax(x, dim),
    "log softmax": lambda x, dim: A.log_softmax(x, dim),
    "fused softmax": lambda x, dim: A._softmax(x, dim, False),
    "fused log softmax": lambda x, dim: A._log_softmax(x, dim, False),
    "safe softmax": lambda x, dim: A._safe_softmax(x, dim),
}
ORDERED: dict[str, Callable[[Tensor, int], Tensor]] = {
    "cumsum": lambda x, dim: A.cumsum(x, dim),
    "cumprod": lambda x, dim: A.cumprod(x, dim),
    "cummax": lambda x, dim: A.cummax(x, dim)[0],
    "cummin": lambda x, dim: A.cummin(x, dim)[0],
    "logcumsumexp": lambda x, dim: A.logcumsumexp(x, dim),
    "sort": lambda x, dim: A.sort(x, dim)[0],
    "argsort": lambda x, dim: A.argsort(x, dim).double(),
    "topk": lambda x, dim: A.topk(x, x.shape[dim], dim)[0],
    "flip": lambda x, dim: A.flip(x, [dim]),
    "roll": lambda x, dim: A.roll(x, [1], [dim]),
    "diff": lambda x, dim: A.diff(x, 1, dim, x.narrow(dim, 0, 1)),
}
LINEAR: dict[str, tuple[Body, str]] = {
    "sum of units": (lambda x: x * A.sum(x, [-1], True), "exact"),
    "mean of units": (lambda x: x + A.mean(x, [-1], True), "inexact"),
    "sum without nan": (lambda x: x * A.nansum(x, [-1], True), "exact"),
    "sum of all": (lambda x: x + A.sum(x), "exact"),
    "sum of places": (lambda x: x + A.sum(x, [1], True) + A.mean(x, [1], True) + A.nansum(x, [1], True), "exact"),
}

REDUCTIONS: dict[str, Case] = {name: Case(body, expect) for name, (body, expect) in LINEAR.items()}
for _table, _along in ((REDUCED, "inexact"), (ANSWERING_WITH_POSITIONS, "inexact"), (POSITIONS, "frozen")):
    for _name, _reduced in _table.items():
        REDUCTIONS[f"{_name} of units"] = Case(lambda x, reduced=_reduced: x + reduced(x, -1), _along)
for _table, _along in ((NORMALISED, "inexact"), (ORDERED, "frozen")):
    for _name, _body in _table.items():
        REDUCTIONS[f"{_name} of units"] = Case(lambda x, body=_body: body(x, -1), _along)
for _kind, _bodies in (
    ("reductions", REDUCED),
    ("extremes", ANSWERING_WITH_POSITIONS),
    ("positions", POSITIONS),
    ("norms", NORMALISED),
    ("orders", ORDERED),
):
    REDUCTIONS[f"{_kind} of places"] = Case(lambda x, bodies=_bodies: x + sum(body(x, 1) for body in bodies.values()))
REDUCTIONS |= {
    "maximum of two": Case(lambda x: A.max(x, x.tanh()) + A.min(x, x.cos())),
    "fliplr of units": Case(lambda x: A.fliplr(x.flatten(0, 1)), "frozen"),
    "fliplr of places": Case(A.fliplr),
    "flipud of places": Case(lambda x: A.flipud(x.flatten(0, 1))),
    "flipud of units": Case(lambda x: A.flipud(x.flatten(0, 1).t()).t(), "frozen"),
    "msort of places": Case(lambda x: A.msort(x.flatten(0, 1))),
    "rot90 of places": Case(lambda x: A.rot90(x, 2, [2, 3]), on="images"),
    "rot90 of units": Case(lambda x: A.rot90(x, 1, [1, 2]), "frozen", into=5),
    "diff after a row": Case(With(lambda x, row: A.diff(x, 1, 1, row.expand(2, 1, -1)), (8,))),
    "maximum of all": Case(lambda x: x + A.max(x), "inexact"),
    "place of the maximum of all": Case(lambda x: x + A.argmax(x), "frozen"),
    "roll of all": Case(lambda x: A.roll(x, [1]), "frozen"),
    "renorm of units": Case(lambda x: A.renorm(x, 2, 2, 0.5), "exact"),
    "renorm of places": Case(lambda x: A.renorm(x, 2, 1, 0.5), "inexact"),
}
