"""One calibration pass over a traced model, and what it says about its units."""

from netsculpt.measure.calibration import Purpose, measure
from netsculpt.measure.statistics import LossFn, Statistics

__all__ = ["LossFn", "Purpose", "Statistics", "measure"]
