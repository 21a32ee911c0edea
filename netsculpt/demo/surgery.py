"""Change the units of a place: one rearrangement serves splitting and pruning.

Enough for a plain sequence of layers; the general structure (residuals, groups, optimizer state) is the library's.
"""

import torch
from torch import Tensor, nn

from netsculpt.demo.network import Place


@torch.no_grad()
def rearrange(place: Place, units: Tensor, shares: Tensor) -> None:
    """Make the units of ``place`` copies of its present ``units``, each counting ``shares`` times as much.

    Args:
        place: changed in place: rows of the producer and its batch norm, columns of the consumer.
        units: [new] indices of present units; one that appears twice is duplicated, one that is absent is removed.
        shares: [new] factors on the consumer's columns; function-preserving when they sum to 1 for every present unit.
    """
    columns = place.columns
    _take_rows(place.producer, units)
    if place.norm is not None:
        _take_rows(place.norm, units)
    inputs = (units[:, None] * columns + torch.arange(columns)).flatten()
    factors = shares.repeat_interleave(columns).to(place.consumer.weight)
    weight = place.consumer.weight[:, inputs]
    place.consumer.weight = nn.Parameter(weight * factors.view(1, -1, *[1] * (weight.dim() - 2)))
    _record_widths(place)


@torch.no_grad()
def split(place: Place, units: Tensor, offsets: Tensor) -> None:
    """Replace each unit θ by θ+δ in its row and θ−δ in a new last row, each feeding the consumer half as much.

    Splitting two neighbouring layers is right in the order output to input: a consumer that was split before has
    its δ halved on duplicated inputs together with its weights.

    Args:
        place: changed in place.
        units: [s] distinct indices.
        offsets: [s, D] δ per unit: the flattened incoming weights, then the bias where there is one.
    """
    present = place.units
    shares = torch.ones(present + len(units), dtype=torch.float64)
    shares[units] = shares[present:] = 0.5
    rearrange(place, torch.cat([torch.arange(present), units]), shares)
    copies = torch.arange(present, present + len(units))
    fan_in = place.producer.weight[0].numel()
    rows = place.producer.weight.view(-1, fan_in)
    rows[units] += offsets[:, :fan_in].to(rows)
    rows[copies] -= offsets[:, :fan_in].to(rows)
    if place.producer.bias is not None:
        place.producer.bias[units] += offsets[:, fan_in].to(rows)
        place.producer.bias[copies] -= offsets[:, fan_in].to(rows)


def _take_rows(layer: nn.Module, rows: Tensor) -> None:
    for name, parameter in list(layer.named_parameters(recurse=False)):
        setattr(layer, name, nn.Parameter(parameter[rows]))
    for name, buffer in list(layer.named_buffers(recurse=False)):
        if buffer.dim():  # the count of batches seen belongs to the layer, not to a channel
            setattr(layer, name, buffer[rows])


def _record_widths(place: Place) -> None:
    for layer in (place.producer, place.consumer):
        outputs, inputs = layer.weight.shape[:2]
        if isinstance(layer, nn.Conv2d):
            layer.out_channels, layer.in_channels = outputs, inputs
        else:
            layer.out_features, layer.in_features = outputs, inputs
    if place.norm is not None:
        place.norm.num_features = place.units
