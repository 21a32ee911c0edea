"""The overlay is the model where all gates are off (P1), and what the edited model will be where some are on."""

import copy

import pytest
import torch

import netsculpt as ns
from netsculpt.methods.growing import Tuning
from netsculpt.methods.growing.materialise import plan_of
from netsculpt.methods.growing.overlay import Overlay
from netsculpt.methods.growing.tuning import draw
from tests.architectures import ARCHITECTURES, arguments
from tests.methods.growing.nets import NETS, answers, attached, measured


@pytest.mark.parametrize("name", NETS)
def test_with_all_gates_off_it_answers_as_the_model(name: str) -> None:
    _, stats = measured(name)
    overlay = attached(stats)
    assert {kind for _, kind in overlay.groups} == {"split", "new", "layer"}
    draw(overlay, Tuning(), seed=0)
    batch = stats.data[0]
    wanted = stats.model(*batch.inputs.args)
    torch.testing.assert_close(answers(overlay, batch, overlay.off()), wanted, rtol=0, atol=1e-14)
    assert (answers(overlay, batch, overlay.on()) - wanted).abs().max() > 1e-3


@pytest.mark.parametrize("name", NETS)
def test_any_accepted_candidates_become_edits_that_answer_alike(name: str) -> None:
    _, stats = measured(name)
    overlay = attached(stats)
    draw(overlay, Tuning(), seed=1)
    for group in overlay.groups.values():
        for tensor in group.gated:
            group.values[tensor].mul_(10)  # so that candidates matter
    generator = torch.Generator().manual_seed(2)
    batch = stats.data[0]
    for _ in range(3):
        gates = {
            key: (torch.rand(gate.shape, generator=generator) < 0.5).double() for key, gate in overlay.off().items()
        }
        own = copy.deepcopy(stats.model)
        graph = ns.trace(own, batch.inputs.args)
        plan = plan_of(own, graph, overlay, gates)
        ns.apply(ns.Plan.from_json(plan.to_json()), own, graph=graph, check=False)
        torch.testing.assert_close(own(*batch.inputs.args), answers(overlay, batch, gates), rtol=1e-12, atol=1e-12)
        assert graph.cost() == plan.after


def test_the_model_stays_as_it_is() -> None:
    _, stats = measured("resnet")
    before = {name: tensor.clone() for name, tensor in stats.model.state_dict().items()}
    ns.grow(stats, ns.Limits(units=3), kinds=("split", "new", "layer"), tuning=Tuning(batches=4))
    after = stats.model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in stats.model.parameters())
    assert stats.is_current


def test_of_two_axes_one_inside_the_slices_of_the_other_the_first_has_candidates() -> None:
    (t5,) = [each for each in ARCHITECTURES if each.name == "t5"]
    model = t5.build().eval()
    args, kwargs = arguments(t5.inputs())
    graph = ns.trace(model, kwargs or tuple(args))
    heads, dims = (f"encoder.block.0.attention.q/{number}" for number in (0, 1))
    overlay = Overlay(model, graph, axes=[heads, dims], new_units={heads: 1, dims: 1})
    assert {name for name, _ in overlay.groups} == {heads}
    assert overlay.reasons[dims] == "it lies inside the slices of another axis that grows"
    assert {name for name, _ in Overlay(model, graph, axes=[dims], new_units={dims: 1}).groups} == {dims}
