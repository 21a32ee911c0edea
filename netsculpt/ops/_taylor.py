"""What the two Taylor-gain ops return, and the dtypes they take."""

from typing import NamedTuple

import torch
from torch import Tensor

FLOATING = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


class TaylorGain(NamedTuple):
    """Three readings of the first-order change of the loss per channel, float64 [C] each.

    ``signed`` and ``absolute`` are in units of the loss, ``squared`` in units of the loss squared.
    """

    signed: Tensor
    absolute: Tensor
    squared: Tensor
