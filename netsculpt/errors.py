"""The library's errors: each carries one sentence that names the argument, what it is and what it should be."""


class NetsculptError(Exception):
    """Base of every error that netsculpt raises on purpose."""


class ArgumentError(NetsculptError, ValueError):
    """An argument has a value that makes no sense."""


class ShapeError(ArgumentError):
    """An argument has the wrong shape, dtype, layout or device."""


class BackwardError(NetsculptError, RuntimeError):
    """Gradients were asked of an op that has none."""


class GraphError(NetsculptError, RuntimeError):
    """A model cannot be traced, or what was traced does not hold together."""


class EditError(NetsculptError, RuntimeError):
    """An edit cannot be made on this model as it is; nothing was changed."""


class BudgetError(ArgumentError):
    """A budget makes no sense, or cannot be kept."""


class MeasureError(NetsculptError, RuntimeError):
    """What was measured cannot be trusted, or belongs to a model that has changed since."""
