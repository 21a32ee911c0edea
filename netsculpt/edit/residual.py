"""A layer that adds what it computes to its input: how networks grow deeper."""

from __future__ import annotations

from torch import Tensor, nn


class Residual(nn.Sequential):
    """Layers one after the other, whose result is added to their input: ``x + layers(x)``.

    It is the identity where the last layer's weights are zero. Shapes are what the layers take, and what comes out of
    them has the input's shape.
    """

    def forward(self, input: Tensor) -> Tensor:
        """The input plus what the layers make of it."""
        out = input
        for layer in self:
            out = layer(out)
        return input + out
