"""Small networks of every common kind, on which the analysis of structure and its edits are tested.

Each is also a factory without arguments that returns a model and its inputs, as the command line takes them:
``python -m netsculpt inspect tests.architectures:resnet_basic``.
"""

import importlib
import pkgutil
from collections.abc import Callable

from torch import nn

from tests.architectures.core import (
    FACTORIES,
    OWN,
    TORCHVISION,
    TRANSFORMERS,
    Architecture,
    Inputs,
    arguments,
    in_float64,
    outputs,
    randomize,
)
from tests.architectures.optional import missing

__all__ = [
    "ARCHITECTURES",
    "TORCHVISION_MISSING",
    "TORCHVISION_MODELS",
    "TRANSFORMERS_MISSING",
    "TRANSFORMERS_MODELS",
    "Architecture",
    "Inputs",
    "arguments",
    "in_float64",
    "outputs",
    "randomize",
]

for _family in pkgutil.iter_modules(__path__):
    if not _family.name.startswith(("test_", "report")):
        importlib.import_module(f"{__name__}.{_family.name}")  # registers what it defines

ARCHITECTURES: tuple[Architecture, ...] = tuple(OWN)
TRANSFORMERS_MISSING: str | None = missing("transformers")
TRANSFORMERS_MODELS: tuple[Architecture, ...] = () if TRANSFORMERS_MISSING else tuple(TRANSFORMERS)
TORCHVISION_MISSING: str | None = missing("torchvision")
TORCHVISION_MODELS: tuple[Architecture, ...] = () if TORCHVISION_MISSING else tuple(TORCHVISION)


def __getattr__(name: str) -> Callable[[], tuple[nn.Module, Inputs]]:
    if name in FACTORIES:
        return FACTORIES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
