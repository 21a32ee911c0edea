"""Packages that only the demo needs: imported when used, and missed in one sentence."""

from importlib import import_module
from typing import Any

from netsculpt.errors import NetsculptError

_PACKAGES = {"sklearn": "scikit-learn"}  # import name -> name to install, where they differ


class MissingDependency(NetsculptError, ImportError):
    """The demo needs a package that is not installed."""


def require(module: str) -> Any:
    """Import ``module``, or raise a MissingDependency that says what to install."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if (error.name or "").partition(".")[0] != root:
            raise
        package = _PACKAGES.get(root, root)
        raise MissingDependency(f"the demo needs {package}: install it with pip install 'netsculpt[demo]'") from None
