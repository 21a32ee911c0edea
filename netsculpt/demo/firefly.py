"""Grow the narrow network wider and deeper by firefly descent, and prune it back: five lines of the library each."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn
from torch.nn import functional as F

from netsculpt.choice import Limits
from netsculpt.demo.data import Part
from netsculpt.demo.network import IMAGE
from netsculpt.demo.records import Change
from netsculpt.demo.training import BATCH
from netsculpt.edit import Budget, Plan
from netsculpt.measure import Purpose, Statistics
from netsculpt.methods import Tuning, grow, prune
from netsculpt.train import Sculptor

WORDS = {"split": "units split", "widen": "axes with new units", "insert": "layers inserted", "prune": "axes pruned"}
TUNING = Tuning(batches=40)


def wider_and_deeper(net: nn.Module, part: Part, parameters: int, macs: int, seed: int) -> Change:
    """Grow in place up to so many parameters and multiply-accumulates."""
    sculptor, stats = _measured(net, part, "grow")
    limits = Limits(Budget(params=parameters, macs=macs))
    plan = grow(stats, limits, kinds=("split", "new", "layer"), tuning=TUNING, seed=seed)
    return _made(sculptor, plan)


def back(net: nn.Module, part: Part, macs: int) -> Change:
    """Prune in place to so many multiply-accumulates."""
    sculptor, stats = _measured(net, part, "prune")
    return _made(sculptor, prune(stats, Budget(macs=macs)))


def _measured(net: nn.Module, part: Part, purpose: Purpose) -> tuple[Sculptor, Statistics]:
    sculptor = Sculptor(net.eval(), torch.zeros(2, *IMAGE))
    batches = zip(part.images.split(2 * BATCH), part.labels.split(2 * BATCH), strict=True)
    return sculptor, sculptor.measure(list(batches), F.cross_entropy, for_=purpose)


def _made(sculptor: Sculptor, plan: Plan) -> Change:
    done = sculptor.apply(plan, check=False)
    counts = Counter(edit.kind for edit in plan.edits)
    what = ", ".join(f"{counts[kind]} {words}" for kind, words in WORDS.items() if counts[kind])
    assert done.predicted is not None and done.measured is not None
    return Change(what or "nothing", done.predicted, done.measured)
