"""netsculpt: prune, grow and split neural networks while they train."""

from netsculpt import ops
from netsculpt.build_info import build_info

__version__ = "0.1.0"
__all__ = ["__version__", "build_info", "ops"]
