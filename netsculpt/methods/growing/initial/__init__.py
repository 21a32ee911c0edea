"""Initial values of new units that the loss asks for, GradMax and TINY, from sums over the calibration data."""

from netsculpt.methods.growing.initial.gradmax import gradmax
from netsculpt.methods.growing.initial.new_units import NewUnits
from netsculpt.methods.growing.initial.tiny import tiny

__all__ = ["NewUnits", "gradmax", "tiny"]
