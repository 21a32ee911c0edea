import copy

import pytest
import torch
from torch import nn

from netsculpt.demo import surgery
from netsculpt.demo.data import Part
from netsculpt.demo.network import count_macs, count_parameters, places, widths_of

EXACT = 1e-13  # float64 outputs of order one, a few additions regrouped


def offsets(net: nn.Sequential, index: int, units: int) -> torch.Tensor:
    producer = places(net)[index].producer
    fan_in = producer.weight[0].numel() + (producer.bias is not None)
    return torch.randn(units, fan_in, dtype=torch.float64, generator=torch.Generator().manual_seed(index))


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_a_split_by_nothing_preserves_the_function(net: nn.Sequential, part: Part, training: bool) -> None:
    before = copy.deepcopy(net).train(training)(part.images.double())
    for index in (3, 1, 0, 2):
        units = torch.tensor([2, 0])
        surgery.split(places(net)[index], units, 0 * offsets(net, index, 2))
    assert widths_of(net) == (5, 6, 7, 8)
    after = net.train(training)(part.images.double())
    torch.testing.assert_close(after, before, rtol=0, atol=EXACT)


def test_a_split_moves_the_copies_apart_and_their_mean_nowhere(net: nn.Sequential) -> None:
    place = places(net)[3]
    weight, bias, by = place.producer.weight[1].clone(), place.producer.bias[1].clone(), offsets(net, 3, 1)
    surgery.split(place, torch.tensor([1]), by)
    rows, biases = place.producer.weight[[1, 6]], place.producer.bias[[1, 6]]
    torch.testing.assert_close(rows.mean(0), weight, rtol=0, atol=EXACT)
    torch.testing.assert_close(biases.mean(), bias, rtol=0, atol=EXACT)
    torch.testing.assert_close((rows[0] - rows[1]) / 2, by[0, :-1], rtol=0, atol=EXACT)
    torch.testing.assert_close((biases[0] - biases[1]) / 2, by[0, -1], rtol=0, atol=EXACT)


def test_a_consumers_split_direction_is_halved_with_its_weights(net: nn.Sequential) -> None:
    """Splitting conv2, then conv1 below it by nothing, must not change what conv2's split did."""
    images = torch.randn(5, 1, 8, 8, dtype=torch.float64)
    surgery.split(places(net)[1], torch.tensor([0, 3]), offsets(net, 1, 2))
    before = net(images)
    surgery.split(places(net)[0], torch.tensor([1]), 0 * offsets(net, 0, 1))
    torch.testing.assert_close(net(images), before, rtol=0, atol=EXACT)


@pytest.mark.parametrize("index", range(4))
def test_rearranging_permutes_exactly(net: nn.Sequential, part: Part, index: int) -> None:
    before = net(part.images.double())
    place = places(net)[index]
    surgery.rearrange(place, torch.arange(place.units).flip(0), torch.ones(place.units))
    torch.testing.assert_close(net(part.images.double()), before, rtol=0, atol=EXACT)


@pytest.mark.parametrize("index", range(4))
def test_removing_units_that_nobody_reads_preserves_the_function(net: nn.Sequential, part: Part, index: int) -> None:
    place = places(net)[index]
    with torch.no_grad():
        place.consumer.weight.view(len(place.consumer.weight), place.units, -1)[:, 1] = 0
    before = net(part.images.double())
    kept = torch.tensor([i for i in range(place.units) if i != 1])
    surgery.rearrange(place, kept, torch.ones(len(kept)))
    torch.testing.assert_close(net(part.images.double()), before, rtol=0, atol=EXACT)


def test_changed_layers_say_their_new_sizes(net: nn.Sequential) -> None:
    for place in places(net):
        surgery.split(place, torch.tensor([0]), offsets(net, places(net).index(place), 1))
    conv, norm, last = net[0], net[1], net[-1]
    assert (conv.out_channels, norm.num_features, net[3].in_channels) == (4, 4, 4)
    assert (net[-3].in_features, net[-3].out_features, last.in_features) == (6 * 4, 7, 7)
    assert net[1].running_var.shape == (4,)


def test_a_changed_network_trains(net: nn.Sequential, part: Part) -> None:
    surgery.split(places(net)[1], torch.tensor([0]), offsets(net, 1, 1))
    net.train()(part.images.double()).square().mean().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in net.parameters())


def test_costs_by_hand(net: nn.Sequential) -> None:
    convs = 3 * 9 * 64 + 4 * 3 * 9 * 16 + 5 * 4 * 9 * 4
    assert count_macs(net) == convs + 20 * 6 + 6 * 10
    weights = 3 * 9 + 4 * 3 * 9 + 5 * 4 * 9 + 20 * 6 + 6 * 10
    assert count_parameters(net) == weights + 2 * (3 + 4 + 5) + 6 + 10
