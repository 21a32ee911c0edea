"""Continual learning: a pool of frozen units, and tasks that are cuts through it."""

from netsculpt.continual.growing import Growth, Round
from netsculpt.continual.learner import Learner
from netsculpt.continual.order import Learned
from netsculpt.continual.pool import Pool, Task
from netsculpt.continual.sizes import Sizes, TaskSize

__all__ = ["Growth", "Learned", "Learner", "Pool", "Round", "Sizes", "Task", "TaskSize"]
