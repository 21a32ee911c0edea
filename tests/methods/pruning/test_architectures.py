"""On every architecture: what pruning is predicted to do to the loss is what it does."""

import pytest

import netsculpt as ns
from netsculpt.errors import MeasureError
from tests.architectures import ARCHITECTURES, TRANSFORMERS_MODELS, Architecture, arguments, in_float64
from tests.measure.test_architectures import NOT_MEASURED, loss

AXES = 4  # of each, spread over the program


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *TRANSFORMERS_MODELS], ids=lambda each: each.name)
def test_predictions_come_true(architecture: Architecture) -> None:
    model = architecture.build().double()
    args, kwargs = arguments(in_float64(architecture.inputs()))
    sculptor = ns.Sculptor(model, kwargs or tuple(args))
    if architecture.name in NOT_MEASURED:
        with pytest.raises(MeasureError, match="no axis can be measured"):
            sculptor.measure([kwargs or (*args, None)], loss, for_="prune")
        return
    stats = sculptor.measure([kwargs or (*args, None)], loss, for_="prune")
    axes = [name for name in stats.consumers if stats.graph[name].size > 1]
    axes = axes[:: -(-len(axes) // AXES)]
    widths = {name: (stats.graph[name].size // 2, None) for name in axes}
    room = sum(sculptor.graph.cost_per_unit(name).params for name in axes) // 2
    limits = ns.Limits(ns.Budget(params=sculptor.graph.cost().params - max(1, room)), widths=widths)
    done = sculptor.apply(ns.prune(stats, limits, axes=axes, check_baseline=False))
    assert done.after.params < done.before.params
    tolerance = 1e-6 if abs(stats.loss) < 1e3 else 1e-3
    assert done.predicted == pytest.approx(done.measured, rel=1e-4, abs=tolerance)
