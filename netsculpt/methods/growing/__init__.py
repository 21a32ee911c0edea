"""Growing: candidates attached to a network, tuned, scored and chosen."""

from netsculpt.methods.growing.natural import NaturalGain, natural_gains
from netsculpt.methods.growing.plan import grow
from netsculpt.methods.growing.tuning import Tuning

__all__ = ["NaturalGain", "Tuning", "grow", "natural_gains"]
