"""Ways to grow a trained network by splitting its units, each as a plan for the model as it is."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from bench.experiments.data import Images
from bench.experiments.networks import widths_of
from bench.experiments.training import BATCH
from netsculpt import Budget, Plan, Sculptor, Split, split
from netsculpt.measure import Statistics
from netsculpt.methods.splitting import Spectrum, spectra
from netsculpt.methods.splitting.spectra import multiply

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)  # lengths of the offsets that are tried; weights of a unit have a norm near 1
CALIBRATION = 8  # batches
SHARE = "+40%"
Spectra = dict[str, Spectrum]


@dataclass
class Growth:
    """What one step of growing did. `losses`: length tried -> (predicted, measured) change of the calibration loss."""

    step: float
    units: dict[str, int]
    predicted: float
    measured: float
    losses: dict[float, tuple[float, float]]
    seconds: float
    widths: list[int]


def s2d(stats: Statistics, found: Spectra, step: float) -> Plan:
    return split(stats, Budget(params=SHARE), step=step, spectrum=found)


def signed(stats: Statistics, found: Spectra, step: float) -> Plan:
    return split(stats, Budget(params=SHARE), copies=4, signed=3.0, step=step, spectrum=found)


def energy(stats: Statistics, found: Spectra, step: float) -> Plan:
    return split(stats, Budget(macs=SHARE), step=step, spectrum=found)


def at_random(like: Growth, seed: int) -> Callable[[Statistics, Spectra, float], Plan]:
    """As many units of every axis as another growth split, but any, and in any direction."""

    def plan(stats: Statistics, found: Spectra, step: float) -> Plan:
        dice, generator = random.Random(seed), torch.Generator().manual_seed(seed)
        edits, predicted = [], 0.0
        for axis, count in like.units.items():
            coordinates = stats.coordinates(axis)
            v = torch.randn(stats.units[axis].size, coordinates.count, generator=generator)
            v = v / v.norm(dim=1, keepdim=True)
            curvatures = (v * multiply(stats, {axis: v})[axis].detach()).sum(1)
            for unit in sorted(dice.sample(range(len(v)), count)):
                offsets = coordinates.offsets(unit, step * torch.stack([v[unit], -v[unit]]))
                edits.append(Split(axis, unit, (0.5, 0.5), offsets))
                predicted += step**2 / 2 * float(curvatures[unit])
        return Plan.of(stats.graph, edits, predicted=predicted)

    return plan


def grow(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Images,
    make: Callable[[Statistics, Spectra, float], Plan],
    *,
    signs: bool = False,
    step: float | None = None,
) -> Growth:
    """Measure, plan, and apply what lowers the calibration loss most of several lengths of the offsets.

    `signs`: whether the plan needs the highest eigenvalues too; `step`: this length and no other.
    """
    start = time.process_time()
    model.eval()
    sculptor = Sculptor(model, data.pictures[:2], optimizer)
    stats = sculptor.measure(data.take(torch.arange(CALIBRATION * BATCH)).batches(BATCH), F.cross_entropy)
    found = spectra(stats, ends="both" if signs else "lowest")
    plans = {each: make(stats, found, each) for each in (STEPS if step is None else (step,))}
    tried = {each: (plan.predicted or 0.0, _tried(sculptor, stats, plan)) for each, plan in plans.items()}
    best = min(tried, key=lambda each: tried[each][1])
    sculptor.apply(plans[best])
    units = Counter(edit.axis for edit in plans[best].edits)
    seconds = time.process_time() - start
    return Growth(best, dict(units), *tried[best], tried, seconds, widths_of(model))


def _tried(sculptor: Sculptor, stats: Statistics, plan: Plan) -> float:
    """What a plan does to the loss; it is taken back."""
    sculptor.apply(plan)
    change = stats.loss_of(sculptor.model) - stats.loss
    sculptor.undo()
    return change
