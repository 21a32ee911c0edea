"""Matrix products, convolutions, distances, attention: what sums over units, and what makes new ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.graph.operations import A, Body, Case, With

WHOLE = ([1, 1], [0, 0], [1, 1])  # stride, padding, dilation


def rows(x: Tensor) -> Tensor:
    return x.flatten(0, 1)


def gram(x: Tensor) -> Tensor:
    """Sums over units and gives the units back."""
    return A.bmm(A.bmm(x, x.mT), x)


def vectors(x: Tensor) -> Tensor:
    a, b = x[0, 0], x[1, 1]
    return x * (A.dot(a, b) + A.vdot(a, b.tanh()) + A.mv(rows(x), a)[0] + A.inner(x, b)[..., None])


def outer_products(x: Tensor) -> Tensor:
    a, b = x[0, 0], x[1, 1, :].tanh()
    return x @ A.addr(A.outer(a, b) + A.ger(a, b), a, b)


def scores(x: Tensor) -> Tensor:
    y = A.baddbmm(x.new_zeros(1, 5, 5), x, x.mT) + A.addbmm(x.new_ones(5, 5), x, x.mT, beta=2.0, alpha=0.5)
    return y @ x


def biased(x: Tensor, weight: Tensor, bias: Tensor, vector: Tensor) -> Tensor:
    y = A.addmm(bias, rows(x), weight)
    return y + A.addmv(y[:5, 0], x[0], vector).sum()


def weighed(x: Tensor, square: Tensor, other: Tensor) -> Tensor:
    """Weights between units in products of every kind: [units, inner] and [inner, units]."""
    y = A.mm(rows(x), square).tanh()
    return A.tensordot(A.matmul(y, other), square, [1], [0]).tanh()


def attended(x: Tensor, causal: bool = False) -> Tensor:
    x = x.unflatten(-1, (2, -1)).transpose(1, 2)
    return A.scaled_dot_product_attention(x, x.tanh(), x, None, 0.0, causal).transpose(1, 2).flatten(2)


def masked(x: Tensor, scores: Tensor) -> Tensor:
    return A.scaled_dot_product_attention(x, x, x.tanh(), scores, 0.0, False, scale=0.5)


def distance(x: Tensor) -> Tensor:
    return x + A.cdist(x, x.tanh()).sum(-1, keepdim=True)


CONVOLUTIONS: dict[str, tuple[Body, tuple[int, ...], str]] = {
    "conv1d": (lambda x, w: A.conv1d(x, w, None, [1], [1]), (7, 8, 3), "series"),
    "conv2d": (lambda x, w: A.conv2d(x, w, None, [1, 1], [1, 1]), (7, 8, 3, 3), "images"),
    "conv3d": (lambda x, w: A.conv3d(x, w, None), (7, 8, 2, 2, 2), "volumes"),
    "conv transpose 1d": (lambda x, w: A.conv_transpose1d(x, w), (8, 7, 3), "series"),
    "conv transpose 2d": (lambda x, w: A.conv_transpose2d(x, w), (8, 7, 3, 3), "images"),
    "conv transpose 3d": (lambda x, w: A.conv_transpose3d(x, w), (8, 7, 2, 2, 2), "volumes"),
    "padded by a word": (lambda x, w: A.conv2d(x, w, None, [1, 1], "same"), (7, 8, 3, 3), "images"),
    "convolution mode": (
        lambda x, w: A._convolution_mode(x, w, None, [1, 1], "same", [1, 1], 1),
        (7, 8, 3, 3),
        "images",
    ),
    "decomposed": (lambda x, w: A.convolution(x, w, None, *WHOLE, False, [0, 0], 1), (7, 8, 3, 3), "images"),
    "decomposed transposed": (lambda x, w: A.convolution(x, w, None, *WHOLE, True, [0, 0], 1), (8, 7, 2, 2), "images"),
    "with backends": (
        lambda x, w: A._convolution(x, w, None, *WHOLE, False, [0, 0], 1, False, False, False, False),
        (7, 8, 3, 3),
        "images",
    ),
}

PRODUCTS: dict[str, Case] = {
    "units times units": Case(gram),
    "vectors": Case(vectors),
    "outer products": Case(outer_products),
    "scores": Case(scores),
    "biased products": Case(With(biased, (8, 7), (7,), (8,)), into=7),
    "weights": Case(With(weighed, (8, 6), (6, 8)), into=6),
    "linear": Case(With(lambda x, w, b: A.linear(A.linear(x, w).relu(), w.t(), b), (7, 8), (8,))),
    "bilinear": Case(With(lambda x, w: A.bilinear(x, x.tanh(), w), (7, 8, 8)), into=7),
    "einsum over units": Case(lambda x: x * A.einsum("bnc,bmc->bnm", [x, x.tanh()]).sum(-1, keepdim=True)),
    "einsum of places": Case(lambda x: A.einsum("bnc,nm->bmc", [x, torch.eye(5, dtype=x.dtype)])),
    "einsum of a diagonal": Case(lambda x: x * A.einsum("bcc->bc", [x.mT @ x])[:, None], "frozen"),
    "cosine of units": Case(lambda x: x * A.cosine_similarity(x, x.tanh(), -1)[..., None], "inexact"),
    "cosine of places": Case(lambda x: x * A.cosine_similarity(x, x.tanh(), 1)[:, None]),
    "pairwise distance": Case(lambda x: x * A.pairwise_distance(x, x.tanh(), 2.0, 1e-6, True), "inexact"),
    "distances": Case(distance, "inexact"),
    "distances of units": Case(lambda x: x + A.cdist(x.mT, x.mT.tanh()).sum(1, keepdim=True), "inexact"),
    "attention": Case(attended, "inexact"),
    "causal attention": Case(lambda x: attended(x, True), "inexact"),
    "masked attention": Case(With(masked, (5, 5))),
    "attention over units": Case(lambda x: masked(x.mT, x.mT @ x).mT, "inexact"),
    "grouped by a written number": Case(
        With(lambda x, w: A.conv2d(x, w, None, *WHOLE, 4), (12, 2, 1, 1)), into=12, on="images"
    ),
    "grouped by as many as units": Case(
        With(lambda x, w: F.conv2d(x, w, padding=1, groups=x.shape[1]), (8, 1, 3, 3)), on="images"
    ),
    "mixed by place": Case(With(lambda x, w: A.matmul(w, x), (5, 5))),
    "grouped layer": Case(nn.Conv1d(8, 12, 3, padding=1, groups=4), into=12, on="series"),
}
for _name, (_convolve, _shape, _on) in CONVOLUTIONS.items():
    PRODUCTS[_name] = Case(With(_convolve, _shape), into=7, on=_on)
