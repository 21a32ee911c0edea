"""What to do to a model: methods read statistics and return plans, and touch nothing."""

from netsculpt.methods.pruning import Tolerance, prune
from netsculpt.methods.splitting import split

__all__ = ["Tolerance", "prune", "split"]
