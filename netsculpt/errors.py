"""The library's errors: each carries one sentence that names the argument, what it is and what it should be."""


class NetsculptError(Exception):
    """Base of every error that netsculpt raises on purpose."""


class ArgumentError(NetsculptError, ValueError):
    """An argument has a value that makes no sense."""


class ShapeError(ArgumentError):
    """An argument has the wrong shape, dtype, layout or device."""


class BackwardError(NetsculptError, RuntimeError):
    """Gradients were asked of an op that has none."""
