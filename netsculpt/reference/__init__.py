"""Every op in plain torch, computed in float64: slow, and obviously right.

A reference has the op's own signature, so it also stands in for the op where no compiled library can be loaded. An
overload ``op.out`` is the function ``op__out``.
"""

from netsculpt.reference.coupled_gram import coupled_gram
from netsculpt.reference.eigh_extreme import eigh_extreme
from netsculpt.reference.greedy_select import greedy_select
from netsculpt.reference.lanczos_update import lanczos_update
from netsculpt.reference.taylor_gain import taylor_gain
from netsculpt.reference.taylor_gain_params import taylor_gain_params
from netsculpt.reference.tridiagonal_extreme import tridiagonal_extreme
from netsculpt.reference.weighted_gram import weighted_gram, weighted_gram__out
from netsculpt.reference.weighted_normal import weighted_normal

__all__ = [
    "coupled_gram",
    "eigh_extreme",
    "greedy_select",
    "lanczos_update",
    "taylor_gain",
    "taylor_gain_params",
    "tridiagonal_extreme",
    "weighted_gram",
    "weighted_gram__out",
    "weighted_normal",
]
