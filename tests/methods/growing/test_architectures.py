"""On every architecture: what growing is predicted to do to the loss is what it does, by every kind of candidate."""

import pytest

import netsculpt as ns
from netsculpt.methods.growing import Tuning, grow
from netsculpt.methods.growing.layers import places
from tests.architectures import ARCHITECTURES, TRANSFORMERS_MODELS, Architecture, arguments, in_float64
from tests.measure.test_architectures import loss

AXES = 4  # of each, spread over the program
PLACES = 3


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *TRANSFORMERS_MODELS], ids=lambda each: each.name)
def test_predictions_come_true(architecture: Architecture) -> None:
    model = architecture.build().double()
    args, kwargs = arguments(in_float64(architecture.inputs()))
    sculptor = ns.Sculptor(model, kwargs or tuple(args))
    stats = sculptor.measure([kwargs or (*args, None)], loss, for_="grow")
    axes = [axis.name for axis in sculptor.axes if axis.size > 1]
    axes = axes[:: -(-len(axes) // AXES)]
    after = places(model, sculptor.graph)
    after = after[:: max(1, len(after) // PLACES)]
    plan = grow(
        stats,
        ns.Limits(units=12),
        kinds=("split", "new", "layer"),
        axes=axes,
        after=after,
        new_units=0.1,
        layer_units=0.1,
        tuning=Tuning(batches=3),
    )
    assert len(plan)
    done = sculptor.apply(plan)
    assert done.after.params == plan.after.params
    tolerance = 1e-9 * max(1, abs(stats.loss))
    assert done.predicted == pytest.approx(done.measured, rel=1e-5, abs=tolerance)
    assert done.measured < 0
