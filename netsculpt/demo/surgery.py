"""Splitting and pruning the demo's network: thin words over the library's edits."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from netsculpt.demo.network import IMAGE, Place
from netsculpt.edit import Plan, Prune, Split, apply
from netsculpt.graph import Graph, trace


def graph_of(net: nn.Sequential) -> Graph:
    """The axes of the network as it is."""
    return trace(net, torch.zeros(2, *IMAGE, dtype=next(net.parameters()).dtype))


def split(net: nn.Sequential, moves: Iterable[tuple[Place, int, Tensor]], graph: Graph | None = None) -> None:
    """Replace units θ by θ + δ and θ − δ, each feeding the consumer half as much; all at once, in place.

    Args:
        net: changed in place.
        moves: (place, unit, δ [D]): incoming weights, flattened, then the bias where there is one.
        graph: of the network, which follows; traced where it is not given.
    """
    edits = [Split(place.axis, unit, offsets=torch.stack([offset, -offset])) for place, unit, offset in moves]
    if edits:
        apply(Plan(tuple(edits)), net, graph=graph or graph_of(net), check=False)


def keep(net: nn.Sequential, place: Place, units: Tensor) -> None:
    """Remove all units of ``place`` but ``units``, which stand in that order afterwards; in place."""
    apply(Plan((Prune(place.axis, units),)), net, graph=graph_of(net), check=False)
