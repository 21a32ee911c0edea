"""One calibration pass over a traced model, and what it says about its units."""

from netsculpt.measure.statistics import Statistics, measure

__all__ = ["Statistics", "measure"]
