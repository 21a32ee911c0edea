"""Every optimizer of torch that runs on dense CPU tensors, in each way it can run."""

from typing import Any

import pytest
from torch import optim

KINDS: dict[str, tuple[type[optim.Optimizer], dict[str, Any]]] = {
    "Adadelta": (optim.Adadelta, {}),
    "Adafactor": (optim.Adafactor, {}),
    "Adagrad": (optim.Adagrad, {"initial_accumulator_value": 0.1}),
    "Adam": (optim.Adam, {"lr": 0.01}),
    "Adam-amsgrad": (optim.Adam, {"amsgrad": True}),
    "AdamW": (optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "Adamax": (optim.Adamax, {}),
    "ASGD": (optim.ASGD, {"t0": 0}),
    "NAdam": (optim.NAdam, {}),
    "RAdam": (optim.RAdam, {"lr": 0.01}),
    "RMSprop": (optim.RMSprop, {}),
    "RMSprop-momentum-centered": (optim.RMSprop, {"momentum": 0.9, "centered": True}),
    "Rprop": (optim.Rprop, {}),
    "SGD": (optim.SGD, {"lr": 0.1}),
    "SGD-momentum": (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "SGD-nesterov": (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
}

FUSED = {"Adagrad", "Adam", "Adam-amsgrad", "AdamW", "SGD-momentum", "SGD-nesterov"}

MADE_BY_ARGUMENTS = {
    f"{kind}{suffix}": (cls, settings | extra)
    for kind, (cls, settings) in KINDS.items()
    for suffix, extra in (("", {"foreach": False}), ("-foreach", {"foreach": True}), ("-fused", {"fused": True}))
    if "fused" not in extra or kind in FUSED
}

CASES = [pytest.param(cls, settings, id=name) for name, (cls, settings) in MADE_BY_ARGUMENTS.items()]
