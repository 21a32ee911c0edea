"""How far apart the new units of two sides are."""

import math
from typing import Any

import torch
from torch import Tensor

Found = dict[str, Any]
ROWS = ("gradmax out", "tiny in", "tiny out")  # GradMax's incoming weights are 0


def compared(own: Found, peer: Found) -> Found:
    """The times of both sides, and of every kind of weights the largest angle between what they span."""
    ours, theirs = own.pop("units", None), peer.pop("units", None)
    found: Found = {"ours": own, "peer": peer}
    if ours is not None and theirs is not None:
        found["angles"] = {name: angle(ours[name], theirs[name]) for name in ROWS}
    return found


def angle(one: Tensor, other: Tensor) -> float:
    """The largest principal angle between the spans of rows, in radians.

    By its sine, which is exact for small angles where the cosine is not.
    """
    (first, _), (second, _) = torch.linalg.qr(one.T), torch.linalg.qr(other.T)
    sine = float(torch.linalg.matrix_norm(second - first @ (first.T @ second), 2))
    return math.asin(min(1.0, sine))
