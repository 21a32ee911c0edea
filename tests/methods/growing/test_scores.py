"""Integrated gradients: what they sum to, and why the slope at the origin cannot choose splits (F1, F2)."""

import pytest
import torch

from netsculpt.methods.growing import Tuning
from netsculpt.methods.growing.overlay import Overlay
from netsculpt.methods.growing.scores import end_points, integrated, loss_with
from netsculpt.methods.growing.tuning import draw, tune
from tests.methods.growing.nets import NETS, attached, measured


def tuned(name: str, layers: bool = True) -> tuple[Overlay, tuple]:
    _, stats = measured(name)
    overlay = attached(stats, layers=layers)
    tuning = Tuning(batches=20)
    draw(overlay, tuning, seed=0)
    tune(overlay, stats.data, stats.loss_fn, tuning)
    return overlay, (stats.data, stats.loss_fn)


@pytest.mark.parametrize("name", NETS)
def test_at_the_origin_splits_have_no_slope_and_new_units_have(name: str) -> None:
    overlay, data = tuned(name)
    for (_, kind), slopes in end_points(overlay, *data, at=0.0).items():
        if kind == "split":
            assert slopes.abs().max() < 1e-16
        else:
            assert (slopes.abs() > 1e-8).any()


@pytest.mark.parametrize("name", NETS)
def test_the_joint_path_sums_to_the_change_of_the_loss(name: str) -> None:
    overlay, data = tuned(name)
    change = loss_with(overlay, *data) - loss_with(overlay, *data, overlay.off())
    errors = {}
    for nodes in (1, 3, 20):
        total = sum(float(each.sum()) for each in integrated(overlay, *data, nodes=nodes).values())
        errors[nodes] = abs(total - change) / abs(change)
    assert errors[3] < 0.06 and errors[20] < 2e-3 and errors[20] < errors[1]


@pytest.mark.parametrize("name", ["mlp", "convnet"])
def test_a_gate_alone_gives_what_leaving_it_out_costs(name: str) -> None:
    overlay, data = tuned(name, layers=False)
    on = loss_with(overlay, *data)
    scores = integrated(overlay, *data, nodes=20, path="coordinate")
    for key, each in scores.items():
        for unit in (0, len(each) - 1):
            gates = overlay.on()
            gates[key][unit] = 0
            without = loss_with(overlay, *data, gates)
            assert float(each[unit]) == pytest.approx(on - without, rel=1e-2, abs=1e-8)


def test_scores_are_the_gates_own_gradients() -> None:
    overlay, (batches, loss_fn) = tuned("convnet")
    gates = {key: torch.full_like(gate.double(), 0.5).requires_grad_() for key, gate in overlay.off().items()}
    loss = sum(
        loss_fn(overlay.run(each.inputs, overlay.tensors(gates)), each.target) * each.size for each in batches
    ) / sum(each.size for each in batches)
    wanted = torch.autograd.grad(loss, list(gates.values()))
    for found, gradient in zip(integrated(overlay, batches, loss_fn, nodes=1).values(), wanted, strict=True):
        torch.testing.assert_close(found, gradient, rtol=1e-9, atol=1e-13)


def test_what_is_in_already_has_no_score_and_stays_on() -> None:
    overlay, data = tuned("mlp", layers=False)
    start = overlay.off()
    key = next(iter(start))
    start[key][1] = 1
    scores = integrated(overlay, *data, nodes=20, start=start)
    assert scores[key][1] == 0
    change = loss_with(overlay, *data) - loss_with(overlay, *data, start)
    assert sum(float(each.sum()) for each in scores.values()) == pytest.approx(change, rel=2e-3)
