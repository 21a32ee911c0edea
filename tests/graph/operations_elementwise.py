"""Entry by entry: copies, arithmetic, comparisons, activations, losses."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.graph.operations import A, Body, Case, With


def copies(x: Tensor) -> Tensor:
    x = A._to_copy(A.contiguous(A.clone(A.detach(A.alias(x)))), dtype=torch.float64)
    x = A.type_as(A.to(x, torch.float64), x)
    x = A.lift_fresh_copy(A.lift(x))
    return A.data(A.requires_grad_(A.positive(x), False))


def conjugates(x: Tensor) -> Tensor:
    z = A.complex(x, A.negative(x))
    z = A.resolve_conj(A.conj(A._conj(z)))
    return A.real(z) + A.resolve_neg(A._neg_view(A.imag(A.polar(x, x) * z)))


def in_another_precision(x: Tensor) -> Tensor:
    x = A._autocast_to_reduced_precision(x, False, False, torch.bfloat16, torch.bfloat16)
    return A._autocast_to_full_precision(x, False, False)


def dropouts(x: Tensor) -> Tensor:
    x = A.alpha_dropout(A.dropout(x, 0.5, False), 0.5, False)
    x = A.feature_alpha_dropout(A.feature_dropout(x, 0.5, False), 0.5, False)
    return A.native_dropout(x, 0.5, False)[0]


def inverses(x: Tensor) -> Tensor:
    t = 0.9 * A.tanh(x)
    angles = A.arccos(t) + A.arcsin(t) + A.arctan(x) + A.arctan2(x, t)
    return angles + A.arctanh(t) + A.arcsinh(x) + A.arccosh(t * t + 2)


def arithmetic(x: Tensor) -> Tensor:
    y = A.subtract(A.multiply(x, 3), A.rsub(x, x.tanh(), alpha=2))
    z = A.divide(y, 4) + A.true_divide(x, x.exp()) + A.floor_divide(5 * x, 2)
    return A.nan_to_num(z) + A.float_power(A.absolute(x), 1.5) + A.copysign(A.fix(3 * x), y)


def comparisons(x: Tensor) -> Tensor:
    y = x.tanh() / 2
    found = A.greater(x, y).double() + A.greater_equal(x, 0) * 2 + A.less(x, 0.3) + A.less_equal(y, x)
    return found + A.not_equal(x, 0) + A.isclose(x, y, 0.5, 0.1)


def bits(x: Tensor) -> Tensor:
    i = (10 * x).long().abs()
    i = A.__or__(A.__and__(i, 7), A.__xor__(i, 2)) + A.__lshift__(i, 1) + A.__rshift__(i, 1)
    i = A.__ixor__(A.__ior__(A.__iand__(i, 31), 4), 1)
    return A.__irshift__(A.__ilshift__(i, 2), 1).double()


def activations(x: Tensor) -> Tensor:
    y = A.hardswish(x) + A.mish(x) + A.relu6(x) + A.rrelu(x) + A.threshold(x, 0.1, -0.5) + A.log_sigmoid(x)
    return y + A.rrelu_with_noise(x, torch.zeros_like(x)) + A.relu_(x.clone()) + A.leaky_relu(x)


def choices(x: Tensor) -> Tensor:
    return A.where(x > 0, x, A.masked_fill(x, x < -0.5, 2.0))


def overwritten(x: Tensor) -> Tensor:
    y = A.fill(x, 3.0) * A.copy(x, 2 * x) + A.zero_(x.clone())
    return y + A.copy_(x.clone(), x.tanh()) + A.fill_(x.clone(), A.sum(x.mean((0, 1))))


def broadcast(x: Tensor) -> Tensor:
    wide, narrow = A.broadcast_tensors([x, x.mean(1, keepdim=True)])
    return wide * narrow


ELEMENTWISE: dict[str, Case] = {
    "copies": Case(copies),
    "conjugates": Case(conjugates),
    "precisions": Case(in_another_precision),
    "dropouts": Case(dropouts),
    "inverse functions": Case(inverses),
    "arithmetic": Case(arithmetic),
    "comparisons": Case(comparisons),
    "bits": Case(bits),
    "activations": Case(activations),
    "choices": Case(choices),
    "overwritten": Case(overwritten),
    "broadcast tensors": Case(broadcast),
    "buckets": Case(lambda x: A.bucketize(x, torch.tensor([-0.5, 0.0, 0.5], dtype=torch.float64)).double()),
    "as many buckets as units": Case(With(lambda x, edges: A.bucketize(x, edges).double(), (8,), buffers=True)),
    "prelu of channels": Case(With(A.prelu, (8,)), on="images"),
    "prelu of all": Case(With(A.prelu, (1,)), on="images"),
    "glu": Case(lambda x: A.glu(x, -1), into=4),
    "glu over places": Case(lambda x: A.glu(x, -1), on="images"),
}

LOSSES: dict[str, Body] = {
    "mse": lambda x, reduction: A.mse_loss(x, x.tanh(), reduction),
    "l1": lambda x, reduction: A.l1_loss(x, x.tanh(), reduction),
    "smooth l1": lambda x, reduction: A.smooth_l1_loss(x, x.tanh(), reduction),
    "huber": lambda x, reduction: A.huber_loss(x, x.tanh(), reduction),
    "cross entropy": lambda x, reduction: A.binary_cross_entropy(x.sigmoid(), x.cos() ** 2, None, reduction),
    "cross entropy of logits": lambda x, reduction: A.binary_cross_entropy_with_logits(
        x, x.cos() ** 2, None, None, reduction
    ),
    "divergence": lambda x, reduction: A.kl_div(x, x.sigmoid(), reduction),
    "soft margin": lambda x, reduction: A.soft_margin_loss(x, x.detach().sign(), reduction),
    "poisson": lambda x, reduction: A.poisson_nll_loss(x, x.exp(), True, False, 1e-8, reduction),
}
for _name, _loss in LOSSES.items():
    ELEMENTWISE[f"{_name} of entries"] = Case(lambda x, loss=_loss: loss(x, 0))
    ELEMENTWISE[f"{_name} on average"] = Case(lambda x, loss=_loss: x + loss(x, 1), "inexact")
