"""What to do to a model: methods read statistics and return plans, and touch nothing."""

from netsculpt.methods.growing import Tuning, grow, natural_gains
from netsculpt.methods.pruning import Tolerance, prune
from netsculpt.methods.ranking import prune_by
from netsculpt.methods.splitting import split
from netsculpt.methods.steps import steps

__all__ = ["Tolerance", "Tuning", "grow", "natural_gains", "prune", "prune_by", "split", "steps"]
