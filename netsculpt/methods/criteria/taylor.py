"""What the loss says about units at first order."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from torch import Tensor

from netsculpt import ops
from netsculpt.errors import ArgumentError
from netsculpt.measure.gains import gains
from netsculpt.measure.gradients import gradients
from netsculpt.methods.criteria.reducing import Reduction
from netsculpt.methods.criteria.slices import over_places
from netsculpt.methods.criteria.subject import Inapplicable, Subject, measured

Form: TypeAlias = Literal["examples", "absolute", "signed"]
WeightForm: TypeAlias = Literal["absolute", "signed", "squared"]


def taylor(stats: Subject, axis: str, *, form: Form = "examples") -> Tensor:
    """The first-order change of the loss if a unit were silenced: Σ a·g over everything that reads the unit.

    Args:
        stats: of ``measure``; one pass forward and back serves all axes.
        axis: name of the axis.
        form: where signs cancel: ``"examples"``, within an example, as published; ``"absolute"``, nowhere;
            ``"signed"``, everywhere, so that a unit that helps here as much as it hurts there counts for nothing.

    Returns:
        float64 [m], in units of the loss; a mean over examples.

    Raises:
        ArgumentError: ``stats`` are none, others than linear layers and convolutions read the units, or ``form``
            is none.
        MeasureError: the model has changed since it was measured.

    Source: P. Molchanov et al., "Pruning Convolutional Neural Networks for Resource Efficient Inference" (2017),
    equation 8; the published scores are means over a unit's positions, these are sums.
    """
    if form not in get_args(Form):
        raise ArgumentError(f"form must be one of {', '.join(get_args(Form))}, not {form!r}")
    found = gains(measured(stats, "taylor")).get(axis)
    if found is None:
        raise Inapplicable(f"the units of axis {axis!r} are not read by linear layers and convolutions alone")
    return {"examples": found.examples, "absolute": found.absolute, "signed": found.signed.abs()}[form]


def taylor_weights(stats: Subject, axis: str, *, form: WeightForm = "absolute", reduce: Reduction = "mean") -> Tensor:
    """The first-order change of the loss if a unit's weights were zero: θ·g, g the gradient of the mean loss.

    Args:
        stats: of ``measure``; one pass forward and back serves all axes.
        axis: name of the axis.
        form: Σ |θ·g| over a unit's weights at a place, |Σ θ·g| of them, or (Σ θ·g)².
        reduce: how the places where a unit has weights become one number. To first order the weights that make a unit
            say the same as those that use it, so a sum counts it as often as there are places.

    Returns:
        float64 [m], in units of the loss, or its square.

    Raises:
        ArgumentError: ``stats`` are none, the axis has no weights, or ``form`` or ``reduce`` is none.
        MeasureError: the model has changed since it was measured.

    Source: P. Molchanov et al., "Importance Estimation for Neural Network Pruning" (2019), equation 8 for squares.
    """
    if form not in get_args(WeightForm):
        raise ArgumentError(f"form must be one of {', '.join(get_args(WeightForm))}, not {form!r}")

    def score(weights: Tensor, gradient: Tensor) -> Tensor:
        found = ops.taylor_gain_params([weights.double()], [gradient], [0])
        return {"absolute": found.absolute, "signed": found.signed.abs(), "squared": found.squared}[form]

    return over_places(stats, axis, score, reduce, gradients(measured(stats, "taylor_weights")))
