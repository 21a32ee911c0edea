import copy
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from netsculpt.demo import splitting, surgery
from netsculpt.demo.data import Part
from netsculpt.demo.network import places
from netsculpt.demo.splitting import Split


def brute_force(net: nn.Sequential, index: int, unit: int, part: Part) -> Tensor:
    """The Hessian, at δ = 0, of the loss of the network in which ``unit`` is split into θ + δ and θ − δ."""
    net = copy.deepcopy(net)
    producer = places(net)[index].producer
    biased = producer.bias is not None
    fan_in = producer.weight[0].numel() + biased
    copied = places(net)[index].units
    surgery.split(net, [(places(net)[index], unit, torch.zeros(fan_in))])
    (name,) = (n for n, layer in net.named_modules() if layer is producer)
    rows = torch.zeros(copied + 1, 1, dtype=torch.float64)
    rows[unit], rows[copied] = 1, -1

    def loss(delta: Tensor) -> Tensor:
        weights = rows * delta[: fan_in - biased]
        moved = {f"{name}.weight": producer.weight + weights.view_as(producer.weight)}
        if biased:
            moved[f"{name}.bias"] = producer.bias + rows[:, 0] * delta[-1]
        return F.cross_entropy(functional_call(net, moved, part.images.double()), part.labels)

    return torch.autograd.functional.hessian(loss, torch.zeros(fan_in, dtype=torch.float64))


@pytest.mark.parametrize("index", range(4), ids=["conv1", "conv2", "conv3", "linear1"])
def test_spectra_are_those_of_the_hessian_of_the_split_loss(net: nn.Sequential, part: Part, index: int) -> None:
    found = splitting.spectra(net, part)[index]
    matrices = torch.stack([brute_force(net, index, unit, part) for unit in range(len(found.values))])
    torch.testing.assert_close(found.values, torch.linalg.eigvalsh(matrices)[:, 0], rtol=1e-6, atol=1e-9)


def plan(net: nn.Sequential, part: Part, step: float) -> list[Split]:
    chosen = splitting.choose(splitting.spectra(net, part), 8, step)
    assert len({split.place for split in chosen}) > 1, "the point is to split several layers together"
    return chosen


def test_the_remainder_of_the_prediction_is_of_fourth_order(net: nn.Sequential, part: Part) -> None:
    remainders = []
    for step in (0.04, 0.02, 0.01):
        splits = plan(net, part, step)
        remainders.append(splitting.measured_change(net, splits, part) - sum(split.gain for split in splits))
    for whole, half in pairwise(remainders):
        assert whole / half == pytest.approx(16, rel=0.05)


def test_what_is_measured_is_what_applying_does(net: nn.Sequential, part: Part) -> None:
    splits = plan(net, part, 0.1)
    predicted = splitting.measured_change(net, splits, part, scale=0.5)

    def loss() -> float:
        with torch.no_grad():
            return F.cross_entropy(net(part.images.double()), part.labels).item()

    before = loss()
    splitting.apply(net, splits, scale=0.5)
    assert loss() - before == pytest.approx(predicted, rel=1e-9)


def test_the_best_units_are_chosen_and_none_that_cannot_gain() -> None:
    spectra = [
        splitting.Spectrum("a", torch.tensor([-1.0, 0.5]), torch.eye(2)),
        splitting.Spectrum("b", torch.tensor([-3.0, -2.0, 0.0]), torch.eye(3)),
    ]
    chosen = splitting.choose(spectra, 2, step=0.1)
    assert [(split.name, split.unit) for split in chosen] == [("b", 0), ("b", 1)]
    assert chosen[0].gain == pytest.approx(0.1**2 / 2 * -3)
    assert chosen[0].offset.tolist() == pytest.approx([0.1, 0, 0])
    assert len(splitting.choose(spectra, 10, step=0.1)) == 3
