import copy

import pytest
import torch
from torch import nn

from netsculpt.demo import surgery
from netsculpt.demo.data import Part
from netsculpt.demo.network import places, widths_of

EXACT = 1e-13  # float64 outputs of order one, a few additions regrouped


def offset(net: nn.Sequential, index: int) -> torch.Tensor:
    producer = places(net)[index].producer
    fan_in = producer.weight[0].numel() + (producer.bias is not None)
    return torch.randn(fan_in, dtype=torch.float64, generator=torch.Generator().manual_seed(index))


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_a_split_by_nothing_preserves_the_function(net: nn.Sequential, part: Part, training: bool) -> None:
    before = copy.deepcopy(net).train(training)(part.images.double())
    moves = [(place, unit, 0 * offset(net, k)) for k, place in enumerate(places(net)) for unit in (2, 0)]
    surgery.split(net, moves)
    assert widths_of(net) == (5, 6, 7, 8)
    after = net.train(training)(part.images.double())
    torch.testing.assert_close(after, before, rtol=0, atol=EXACT)


def test_a_split_moves_the_copies_apart_and_their_mean_nowhere(net: nn.Sequential) -> None:
    place, by = places(net)[3], offset(net, 3)
    weight, bias = place.producer.weight[1].clone(), place.producer.bias[1].clone()
    surgery.split(net, [(place, 1, by)])
    rows, biases = place.producer.weight[[1, 6]], place.producer.bias[[1, 6]]
    torch.testing.assert_close(rows.mean(0), weight, rtol=0, atol=EXACT)
    torch.testing.assert_close(biases.mean(), bias, rtol=0, atol=EXACT)
    torch.testing.assert_close((rows[0] - rows[1]) / 2, by[:-1], rtol=0, atol=EXACT)
    torch.testing.assert_close((biases[0] - biases[1]) / 2, by[-1], rtol=0, atol=EXACT)


def test_a_consumers_split_direction_is_halved_with_its_weights(net: nn.Sequential) -> None:
    """Splitting conv1 below it by nothing, at the same time, must not change what conv2's split does."""
    images, alone = torch.randn(5, 1, 8, 8, dtype=torch.float64), copy.deepcopy(net)
    surgery.split(alone, [(places(alone)[1], unit, offset(net, 1)) for unit in (0, 3)])
    both = [(places(net)[1], 0, offset(net, 1)), (places(net)[1], 3, offset(net, 1))]
    surgery.split(net, [*both, (places(net)[0], 1, 0 * offset(net, 0))])
    torch.testing.assert_close(net(images), alone(images), rtol=0, atol=EXACT)


@pytest.mark.parametrize("index", range(4))
def test_removing_units_that_nobody_reads_preserves_the_function(net: nn.Sequential, part: Part, index: int) -> None:
    place = places(net)[index]
    with torch.no_grad():
        place.consumer.weight.view(len(place.consumer.weight), place.units, -1)[:, 1] = 0
    before = net(part.images.double())
    surgery.keep(net, place, torch.tensor([i for i in range(place.units) if i != 1]).flip(0))
    torch.testing.assert_close(net(part.images.double()), before, rtol=0, atol=EXACT)


def test_costs_by_hand(net: nn.Sequential) -> None:
    convs = 3 * 9 * 64 + 4 * 3 * 9 * 16 + 5 * 4 * 9 * 4
    cost = surgery.graph_of(net).cost()
    assert cost.macs == convs + 20 * 6 + 6 * 10
    weights = 3 * 9 + 4 * 3 * 9 + 5 * 4 * 9 + 20 * 6 + 6 * 10
    assert cost.params == weights + 2 * (3 + 4 + 5) + 6 + 10
