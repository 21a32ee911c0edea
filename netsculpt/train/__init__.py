"""When to act: a model that is sculpted while it trains."""

from netsculpt.train.recalibration import recalibrate
from netsculpt.train.schedule import GrowSchedule
from netsculpt.train.sculptor import Applied, Sculptor

__all__ = ["Applied", "GrowSchedule", "Sculptor", "recalibrate"]
