"""Normalisations, recurrent layers, pooling and interpolation."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.graph.operations import A, Body, Case, With

CHANNELS = ((8,),) * 2
STATISTICS = ((8,),) * 4
GROUPS = 2


def group_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    n, c, h, w = x.shape
    return A.native_group_norm(x, weight, bias, n, c, h * w, GROUPS, 1e-5)[0]


def rows_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return A.native_layer_norm(x, [x.shape[-1]], weight, bias, 1e-5)[0]


def by_statistics(body: Body) -> Body:
    """With statistics that are not trained, and that the operation may write to."""
    return lambda x, weight, bias, mean, var: body(x, weight, bias, mean.detach().clone(), var.detach().clone())


def unpooled(x: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
    """The places come from the units, what stands there from a layer after it."""
    largest, at = A.max_pool2d_with_indices(x, [2, 2])
    return A.max_unpool2d(F.conv2d(F.conv2d(largest, inner).relu(), outer), at, [6, 6])


def deformed(x: Tensor, weight: Tensor) -> Tensor:
    return A.grid_sampler(x, F.conv2d(x, weight).tanh().permute(0, 2, 3, 1), 0, 0, False)


class Recurrent(nn.Module):
    """A layer of torch, or one cell, between the two layers."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        if isinstance(self.layer, nn.RNNCellBase):
            answer = self.layer(x[:, 0])
            return answer[0] if isinstance(answer, tuple) else answer
        return self.layer(x)[0]


RECURRENT: dict[str, nn.Module] = {
    "lstm": nn.LSTM(8, 4, batch_first=True),
    "gru": nn.GRU(8, 4, batch_first=True),
    "rnn": nn.RNN(8, 4, batch_first=True),
    "rnn of relu": nn.RNN(8, 4, nonlinearity="relu", batch_first=True),
    "lstm cell": nn.LSTMCell(8, 4),
    "gru cell": nn.GRUCell(8, 4),
    "rnn cell": nn.RNNCell(8, 4),
    "rnn cell of relu": nn.RNNCell(8, 4, nonlinearity="relu"),
}
BY_CHANNEL: dict[str, Body] = {
    "batch norm": lambda x, w, b, m, v: A.batch_norm(x, w, b, m, v, False, 0.1, 1e-5, False),
    "native batch norm": lambda x, w, b, m, v: A.native_batch_norm(x, w, b, m, v, False, 0.1, 1e-5)[0],
    "untrained": lambda x, w, b, m, v: A._native_batch_norm_legit_no_training(x, w, b, m, v, 0.1, 1e-5)[0],
    "legitimate": lambda x, w, b, m, v: A._native_batch_norm_legit(x, w, b, m, v, False, 0.1, 1e-5)[0],
    "functional": lambda x, w, b, m, v: A._native_batch_norm_legit_functional(x, w, b, m, v, True, 0.1, 1e-5)[0],
    "updating": lambda x, w, b, m, v: A._batch_norm_with_update(x, w, b, m, v, 0.1, 1e-5)[0],
    "functional updating": lambda x, w, b, m, v: A._batch_norm_with_update_functional(x, w, b, m, v, 0.1, 1e-5)[0],
    "not updating": lambda x, w, b, m, v: A._batch_norm_no_update(x, w, b, m, v, 0.1, 1e-5)[0],
    "instance norm": lambda x, w, b, m, v: A.instance_norm(x, w, b, m, v, True, 0.1, 1e-5, False),
}
POOLED: dict[str, tuple[Body, str]] = {
    "max pool 1d": (lambda x: A.max_pool1d(x, [2]), "series"),
    "max pool 2d": (lambda x: A.max_pool2d(x, [2, 2]), "images"),
    "max pool 3d": (lambda x: A.max_pool3d(x, [2, 2, 2]), "volumes"),
    "max pool 1d with places": (lambda x: A.max_pool1d_with_indices(x, [2])[0], "series"),
    "max pool 2d with places": (lambda x: A.max_pool2d_with_indices(x, [2, 2])[0], "images"),
    "max pool 3d with places": (lambda x: A.max_pool3d_with_indices(x, [2, 2, 2])[0], "volumes"),
    "places of the largest": (lambda x: A.max_pool2d_with_indices(x, [2, 2])[1].double(), "images"),
    "avg pool 1d": (lambda x: A.avg_pool1d(x, [2]), "series"),
    "avg pool 2d": (lambda x: A.avg_pool2d(x, [2, 2]), "images"),
    "avg pool 3d": (lambda x: A.avg_pool3d(x, [2, 2, 2]), "volumes"),
    "adaptive avg pool 1d": (lambda x: A.adaptive_avg_pool1d(x, [2]), "series"),
    "adaptive avg pool 2d": (lambda x: A.adaptive_avg_pool2d(x, [2, 3]), "images"),
    "adaptive avg pool 3d": (lambda x: A.adaptive_avg_pool3d(x, [2, 1, 1]), "volumes"),
    "inner adaptive avg pool 2d": (lambda x: A._adaptive_avg_pool2d(x, [2, 3]), "images"),
    "inner adaptive avg pool 3d": (lambda x: A._adaptive_avg_pool3d(x, [2, 1, 1]), "volumes"),
    "adaptive max pool 1d": (lambda x: A.adaptive_max_pool1d(x, [2])[0], "series"),
    "adaptive max pool 2d": (lambda x: A.adaptive_max_pool2d(x, [2, 3])[0], "images"),
    "adaptive max pool 3d": (lambda x: A.adaptive_max_pool3d(x, [2, 1, 1])[0], "volumes"),
    "nearest 1d": (lambda x: A.upsample_nearest1d(x, [9]), "series"),
    "nearest 2d": (lambda x: A.upsample_nearest2d(x, [9, 9]), "images"),
    "nearest 3d": (lambda x: A.upsample_nearest3d(x, [5, 5, 5]), "volumes"),
    "exactly nearest 1d": (lambda x: A._upsample_nearest_exact1d(x, [9]), "series"),
    "exactly nearest 2d": (lambda x: A._upsample_nearest_exact2d(x, [9, 9]), "images"),
    "exactly nearest 3d": (lambda x: A._upsample_nearest_exact3d(x, [5, 5, 5]), "volumes"),
    "linear 1d": (lambda x: A.upsample_linear1d(x, [9], False), "series"),
    "bilinear places": (lambda x: A.upsample_bilinear2d(x, [9, 9], False), "images"),
    "bicubic": (lambda x: A.upsample_bicubic2d(x, [9, 9], False), "images"),
    "trilinear": (lambda x: A.upsample_trilinear3d(x, [5, 5, 5], False), "volumes"),
    "smooth bilinear": (lambda x: A._upsample_bilinear2d_aa(x, [3, 3], False), "images"),
    "smooth bicubic": (lambda x: A._upsample_bicubic2d_aa(x, [3, 3], False), "images"),
    "smooth lanczos": (lambda x: A._upsample_lanczos2d_aa(x, [3, 3], False), "images"),
    "grid": (lambda x: A.grid_sampler(x, grid(x, 2), 0, 0, False), "images"),
    "grid in 2d": (lambda x: A.grid_sampler_2d(x, grid(x, 2), 0, 0, False), "images"),
    "grid in 3d": (lambda x: A.grid_sampler_3d(x, grid(x, 3), 0, 0, False), "volumes"),
    "unpooled 2d": (lambda x: A.max_unpool2d(*A.max_pool2d_with_indices(x, [2, 2]), [6, 6]), "images"),
    "unpooled 3d": (
        lambda x: A.max_unpool3d(*A.max_pool3d_with_indices(x, [2, 2, 2]), [4, 4, 4], [2, 2, 2], [0, 0, 0]),
        "volumes",
    ),
    "random windows 2d": (lambda x: A.fractional_max_pool2d(x, [2, 2], [3, 3], windows(x, 2))[0], "images"),
    "random windows 3d": (lambda x: A.fractional_max_pool3d(x, [2, 2, 2], [2, 2, 2], windows(x, 3))[0], "volumes"),
    "windows": (lambda x: A.unfold(x, 3, 2, 2).sum(-1), "images"),
    "patches and back": (lambda x: A.col2im(A.im2col(x, *FRAME), [6, 6], *FRAME), "images"),
}
FRAME = ([2, 2], [1, 1], [0, 0], [2, 2])  # kernel, dilation, padding, stride


def grid(x: Tensor, dims: int) -> Tensor:
    return torch.linspace(-0.9, 0.9, dims, dtype=x.dtype).expand(x.shape[0], *(3,) * dims, dims)


def windows(x: Tensor, dims: int) -> Tensor:
    return torch.full((x.shape[0], x.shape[1], dims), 0.5, dtype=x.dtype)


LAYERS: dict[str, Case] = {
    "group norm": Case(nn.GroupNorm(GROUPS, 8), "exact inexact", on="images"),
    "group norm by a written number": Case(
        With(lambda x, w, b: A.group_norm(x, GROUPS, w, b), *CHANNELS), "inexact", on="images"
    ),
    "native group norm": Case(With(group_norm, *CHANNELS), "inexact", on="images"),
    "norm of all channels": Case(nn.GroupNorm(1, 8), "inexact", on="images"),
    "layer norm": Case(nn.LayerNorm(8), "inexact"),
    "native layer norm": Case(With(rows_norm, *CHANNELS), "inexact"),
    "layer norm of places": Case(lambda x: F.layer_norm(x, (6, 6)), on="images"),
    "rms norm": Case(nn.RMSNorm(8), "inexact"),
    "fused rms norm": Case(With(lambda x, w: A._fused_rms_norm(x, [x.shape[-1]], w, 1e-5)[0], (8,)), "inexact"),
    "weight norm": Case(With(lambda x, v, g: F.linear(x, A._weight_norm(v, g, 0)), (7, 8), (7, 1)), "inexact", into=7),
    "weight norm of units": Case(
        With(lambda x, v, g: F.linear(x, A._weight_norm(v, g, 1)), (7, 8), (1, 8)), "exact", into=7
    ),
    "fused weight norm": Case(
        With(lambda x, v, g: F.linear(x, A._weight_norm_interface(v, g, 0)[0]), (7, 8), (7, 1)), "inexact", into=7
    ),
    "unpooled by the places of others": Case(With(unpooled, (7, 8, 1, 1), (8, 7, 1, 1)), on="images"),
    "coordinates": Case(With(deformed, (2, 8, 1, 1)), "exact", on="images"),
    "windows of channels": Case(
        With(lambda x, at: A.fractional_max_pool2d(x, [2, 2], [3, 3], at.expand(2, -1, -1))[0], (8, 2), buffers=True),
        on="images",
    ),
    "norm of computed groups": Case(lambda x: F.group_norm(x, x.shape[1] // 2), "inexact", on="images"),
    "norm of every channel": Case(lambda x: F.group_norm(x, x.shape[1]), "frozen", on="images"),
    "patches": Case(lambda x: A.im2col(x, *FRAME), into=32, on="images", last="series"),
    "windows of units": Case(lambda x: A.unfold(x, 2, 3, 1).sum(-1), "frozen", into=6),
}
LAYERS |= {name: Case(With(by_statistics(body), *STATISTICS), on="images") for name, body in BY_CHANNEL.items()}
LAYERS |= {name: Case(Recurrent(layer), into=4) for name, layer in RECURRENT.items()}
LAYERS |= {name: Case(body, on=on) for name, (body, on) in POOLED.items()}
