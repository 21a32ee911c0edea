import copy

import pytest
import torch
from torch import Tensor, nn

from netsculpt.demo import pruning
from netsculpt.demo.data import Part
from netsculpt.demo.network import places, widths_of

EVERY_PLACE = pytest.mark.parametrize("index", range(4), ids=["conv1", "conv2", "conv3", "linear1"])


def pre_activation(net: nn.Sequential, index: int, part: Part) -> Tensor:
    """What the consumer of place ``index`` gives, after its batch norm where it has one: [outputs, positions]."""
    place = places(net)[index]
    x = part.images.double()
    for layer in net:
        x = layer(x)
        if layer is (place.consumer_norm or place.consumer):
            break
    return x.transpose(0, 1).flatten(1).detach()


def variance(net: nn.Sequential, index: int, part: Part) -> float:
    y = pre_activation(net, index, part) / gain(net, index)
    return (y - y.mean(1, keepdim=True)).square().mean(1).sum().item()


def gain(net: nn.Sequential, index: int) -> Tensor | float:
    norm = places(net)[index].consumer_norm
    return 1.0 if norm is None else (norm.weight / (norm.running_var + norm.eps).sqrt())[:, None].detach()


def direct_error(net: nn.Sequential, index: int, part: Part, factors: Tensor) -> float:
    """The error with every unit's contribution times a factor, from the outputs themselves."""
    changed = copy.deepcopy(net)
    consumer = places(changed)[index].consumer
    with torch.no_grad():
        consumer.weight.mul_(
            factors.repeat_interleave(consumer.weight[0].numel() // len(factors)).view(consumer.weight[0].shape)
        )
    change = (pre_activation(net, index, part) - pre_activation(changed, index, part)) / gain(net, index)
    return (change - change.mean(1, keepdim=True)).square().mean(1).sum().item() / variance(net, index, part)


@EVERY_PLACE
@pytest.mark.parametrize("mode", pruning.MODES)
def test_the_error_after_each_kept_unit_is_the_direct_norm(
    net: nn.Sequential, part: Part, index: int, mode: pruning.Mode
) -> None:
    seen = pruning.see(net, index, part)
    units = places(net)[index].units
    errors = pruning.greedy(seen, units, mode)[2]
    for kept in range(1, len(errors) + 1):
        order, factors, _ = pruning.greedy(seen, kept, mode)
        assert not factors[[unit for unit in range(units) if unit not in order]].any()
        direct = direct_error(net, index, part, factors)
        assert errors[kept - 1].item() == pytest.approx(direct, rel=1e-6, abs=1e-9)
        chosen = order.sort().values
        assert seen.error(chosen, factors[chosen], "scale") == pytest.approx(direct, rel=1e-6, abs=1e-9)


@EVERY_PLACE
def test_a_refit_never_increases_the_error(net: nn.Sequential, part: Part, index: int) -> None:
    seen = pruning.see(net, index, part)
    for kept in range(1, places(net)[index].units):
        for mode in pruning.MODES:
            order, factors, errors = pruning.greedy(seen, kept, mode)
            units = order.sort().values
            assert seen.error(units, factors[units], "least_squares") <= errors[-1].item() + 1e-9


@EVERY_PLACE
def test_pruning_to_all_units_changes_nothing(net: nn.Sequential, part: Part, index: int) -> None:
    before = net(part.images.double())
    seen = pruning.see(net, index, part)
    order, factors, _ = pruning.greedy(seen, places(net)[index].units, "uniform")
    units = order.sort().values
    assert factors.tolist() == pytest.approx([1.0] * len(units))
    pruning.prune(net, seen, units, factors[units])
    torch.testing.assert_close(net(part.images.double()), before, rtol=0, atol=1e-10)


@EVERY_PLACE
def test_the_pruned_network_does_what_was_promised(net: nn.Sequential, part: Part, index: int) -> None:
    """The error of the network after surgery, constants included, is the one computed beforehand."""
    seen = pruning.see(net, index, part)
    order, factors, _ = pruning.greedy(seen, 2, "least_squares")
    units = order.sort().values
    promised = seen.error(units, factors[units], "least_squares") * variance(net, index, part)
    before, scale = pre_activation(net, index, part), gain(net, index)
    pruning.prune(net, seen, units, factors[units])
    assert widths_of(net)[index] == 2
    change = (pre_activation(net, index, part) - before) / scale
    assert change.mean(1).abs().max() < 1e-10  # the lost constants are folded in
    assert change.square().mean(1).sum().item() == pytest.approx(promised, rel=1e-6)


def test_magnitude_orders_by_norm_and_gain(net: nn.Sequential) -> None:
    place = places(net)[0]
    with torch.no_grad():
        place.producer.weight.copy_(torch.ones_like(place.producer.weight))
        place.norm.weight.copy_(torch.tensor([0.1, -3.0, 1.0]))
        place.norm.running_var.fill_(1.0)
    assert pruning.by_magnitude(place).tolist() == [1, 2, 0]
