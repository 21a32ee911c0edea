"""Importance criteria: one small function each, from a model and an axis to one number per unit, higher is better."""

from collections.abc import Callable, Mapping

from torch import Tensor

from netsculpt.methods.criteria.activations import activation_mean, apoz
from netsculpt.methods.criteria.batch_norm import batch_norm_scale
from netsculpt.methods.criteria.chance import random
from netsculpt.methods.criteria.fisher import fisher
from netsculpt.methods.criteria.geometric_median import geometric_median
from netsculpt.methods.criteria.magnitude import l1, l2, lamp
from netsculpt.methods.criteria.normalising import Normaliser, normalised
from netsculpt.methods.criteria.obd import obd
from netsculpt.methods.criteria.reducing import Reduction, reduced
from netsculpt.methods.criteria.subject import Inapplicable, Pair, Subject
from netsculpt.methods.criteria.taylor import taylor, taylor_weights

_WEIGHTS = (l1, l2, lamp, geometric_median, batch_norm_scale, random)
_DATA = (activation_mean, apoz, taylor, taylor_weights, fisher, obd)

CRITERIA: Mapping[str, Callable[..., Tensor]] = {each.__name__: each for each in (*_WEIGHTS, *_DATA)}
# Names whose scores are changes of the loss, or estimate them, and those that mean the same on every axis.
LOSSES = frozenset({"taylor", "taylor_weights", "fisher", "obd"})
COMPARABLE = LOSSES | {"lamp", "random"}

__all__ = [
    "COMPARABLE",
    "CRITERIA",
    "LOSSES",
    "Inapplicable",
    "Normaliser",
    "Pair",
    "Reduction",
    "Subject",
    "activation_mean",
    "apoz",
    "batch_norm_scale",
    "fisher",
    "geometric_median",
    "l1",
    "l2",
    "lamp",
    "normalised",
    "obd",
    "random",
    "reduced",
    "taylor",
    "taylor_weights",
]
