"""By which factors gradients change when units are copied, scaled or removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from netsculpt.edit.drafts import Draft
from netsculpt.graph import Graph
from netsculpt.graph.axes import Place
from netsculpt.graph.limits import Limit, within
from netsculpt.graph.positions import factors
from netsculpt.graph.terms import Term


def scales_gradients(draft: Draft) -> bool:
    """Whether a draft scales gradients at all: plain removals do not."""
    assert draft.change.weights is not None
    return bool(draft.axis.rescales) or not bool((draft.change.weights == 1).all())


def gradient_scales(graph: Graph, name: str, drafts: Sequence[Draft], sizes: Mapping[Term, int]) -> dict[int, Tensor]:
    """The factors of a tensor's gradient: dim -> float64 [new size].

    A unit whose outgoing weights are scaled passes as much less gradient to its incoming weights, and none of it is the
    matter of the outgoing weights themselves. A weight that is scaled to make up for a size of its axis passes through
    what the size does to the rest, so its gradient changes the other way round.

    Args:
        graph: of the model before the edit.
        name: of the tensor.
        drafts: what becomes of the axes that it holds, of those that scale gradients.
        sizes: axis -> new size.
    """
    scales: dict[int, Tensor] = {}
    for each in drafts:
        for place in {place.dim: place for place in each.axis.places if place.tensor == name}.values():
            term = graph.tensors[name][place.dim]
            for scale in (_passed(each, term, place.silences, sizes), _made_up(each, place, term, sizes)):
                if scale is not None:
                    scales[place.dim] = scales[place.dim] * scale if place.dim in scales else scale
    return scales


def _passed(each: Draft, term: Term, silences: Sequence[Limit], sizes: Mapping[Term, int]) -> Tensor | None:
    weights = each.change.weights
    assert weights is not None
    if frozenset() in silences or bool((weights == 1).all()):
        return None
    share = factors(term, {each.axis.term.find(): weights}, sizes)
    return 1 + (1 - within(term, silences, sizes)) * (share - 1)


def _made_up(each: Draft, place: Place, term: Term, sizes: Mapping[Term, int]) -> Tensor | None:
    count = len(each.change.units)
    scale = None
    for rescale in each.axis.rescales if count != each.axis.size else ():
        limits = rescale.limits(place.tensor, place.dim)
        if limits:
            ratio = torch.full((count,), (each.axis.size / count) ** rescale.power, dtype=torch.float64)
            here = 1 + within(term, limits, sizes) * (factors(term, {each.axis.term.find(): ratio}, sizes) - 1)
            scale = here if scale is None else scale * here
    return scale
