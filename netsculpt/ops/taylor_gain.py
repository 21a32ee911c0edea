import torch
from torch import Tensor

from netsculpt.ops._register import register, require, shape
from netsculpt.ops._taylor import FLOATING, TaylorGain


def taylor_gain(a: Tensor, g: Tensor) -> TaylorGain:
    """First-order change of the loss when a channel is scaled: three sums over ``a * g``, in one pass over both.

    If every value of channel c is multiplied by 1 + ε, the loss changes by ``ε · signed[c]``; removing the channel is
    ε = -1. ``signed`` lets samples cancel, ``squared`` (summed over positions, squared, summed over samples) and
    ``absolute`` do not.

    Nothing of the inputs' size is allocated where both are laid out alike, with positions adjacent (contiguous), or
    with channels adjacent (channels-last, or [B, T, C] viewed as [B, C, T]). Otherwise one input is copied.

    Args:
        a: [B, C, *], activations; any number of position dimensions, also none. float32, float64, bfloat16 or float16.
        g: the same shape and dtype, the gradient of the loss with respect to ``a``.

    Returns:
        TaylorGain of three float64 [C], sums over the batch: ``signed`` (Σ a·g) and ``absolute`` (Σ |a·g|) in units of
        the loss, ``squared`` (Σ_b (Σ_s a·g)²) in its square. Same bits for the same input, whatever the number of
        threads. Runs of at most 8 products are added in float32 (float64 inputs: in float64), all else in float64:
        ``signed`` and ``absolute`` are within ``(8·u + n·2⁻⁵³) · absolute`` of the exact sums over n values, where
        u = 2⁻²⁴ (float64: 2⁻⁵³).

    Raises:
        ShapeError: ``a`` has fewer than two dimensions, or ``g`` differs in shape, dtype or device.

    Source: P. Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference" (2017),
    equation 8; "Importance Estimation for Neural Network Pruning" (2019), equation 8, for the squares.
    """
    require(a.dim() >= 2, f"a must have a batch and a channel dimension, not shape {shape(a)}")
    require(g.shape == a.shape, f"g must have a's shape {shape(a)}, not {shape(g)}")
    require(a.dtype in FLOATING, f"a must be float32, float64, bfloat16 or float16, not {a.dtype}")
    require(g.dtype == a.dtype, f"g must have a's dtype {a.dtype}, not {g.dtype}")
    require(g.device == a.device, f"g must be on a's device {a.device}, not {g.device}")
    return TaylorGain(*torch.ops.netsculpt.taylor_gain(a, g).unbind())


def _fake(a: Tensor, g: Tensor) -> Tensor:
    return a.new_empty(3, a.shape[1], dtype=torch.float64)


register("taylor_gain", _fake)
