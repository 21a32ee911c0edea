"""The ops: one file each, a thin checked wrapper over ``torch.ops.netsculpt``."""

from netsculpt.ops._taylor import TaylorGain
from netsculpt.ops.coupled_gram import coupled_gram
from netsculpt.ops.eigh_extreme import ExtremePairs, eigh_extreme
from netsculpt.ops.greedy_select import Selection, greedy_select
from netsculpt.ops.lanczos_update import LanczosStep, lanczos_update
from netsculpt.ops.taylor_gain import taylor_gain
from netsculpt.ops.taylor_gain_params import taylor_gain_params
from netsculpt.ops.tridiagonal_extreme import TridiagonalPairs, tridiagonal_extreme
from netsculpt.ops.weighted_gram import weighted_gram
from netsculpt.ops.weighted_normal import weighted_normal

__all__ = [
    "ExtremePairs",
    "LanczosStep",
    "Selection",
    "TaylorGain",
    "TridiagonalPairs",
    "coupled_gram",
    "eigh_extreme",
    "greedy_select",
    "lanczos_update",
    "taylor_gain",
    "taylor_gain_params",
    "tridiagonal_extreme",
    "weighted_gram",
    "weighted_normal",
]
