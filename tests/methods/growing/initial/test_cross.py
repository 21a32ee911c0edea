"""The sums against what units that were really added get, and pass on."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import MeasureError
from netsculpt.measure import Statistics, measure
from netsculpt.measure.playback import state_of
from netsculpt.measure.producers import Producer
from netsculpt.methods.growing.initial.cross import cross, outgoing
from netsculpt.methods.growing.initial.new_units import slices
from netsculpt.methods.growing.initial.places import Place, Use, place
from netsculpt.methods.growing.initial.playing import played
from netsculpt.methods.growing.initial.projection import updates
from netsculpt.methods.growing.initial.shifted import Moment, SecondMoment
from netsculpt.methods.growing.initial.sums import Cross
from tests.methods.growing.initial.networks import AXES, Case, loss, network, statistics, widened

STEP = 1e-5


def found(stats: Statistics, axis: str) -> tuple[Place, tuple[Use, ...]]:
    where = place(stats, axis)
    return where, where.uses(where.body.responses())


def widths(stats: Statistics, where: Place) -> list[int]:
    state = state_of(stats.graph.program.exported)
    return [outgoing(where, read.weight, state[read.weight]).shape[1] for read in where.reads]


def added(stats: Statistics, case: Case, where: Place, incoming: Tensor, out: Tensor) -> nn.Module:
    return widened(case, where.unit.axis, slices(stats, where, incoming, out))


def gradient_at(model: nn.Module, value: Tensor, where: Place, units: int) -> Tensor:
    """The gradient of the last units' incoming weights: [units, d]."""
    found = torch.zeros(units, where.width, dtype=torch.float64)
    parameters = dict(model.named_parameters())
    for weight in where.unit.weights:
        rows = where.rows[weight.name]
        (own,) = torch.autograd.grad(value, parameters[weight.name], retain_graph=True)
        part = own.movedim(weight.dim, 0)[-units:].flatten(1)
        found[:, rows.start : rows.start + part.shape[1]] = part
        if weight.bias is not None:
            (own,) = torch.autograd.grad(value, parameters[weight.bias], retain_graph=True)
            found[:, rows.stop - 1] = own[-units:]
    return found


@pytest.mark.parametrize(("name", "axis"), AXES)
def test_the_cross_moment_is_the_gradient_of_new_units_without_incoming_weights(name: str, axis: str) -> None:
    case = network(name)
    stats = statistics(case, for_="prune")
    where, uses = found(stats, axis)
    entries = sum(widths(stats, where))
    model = added(stats, case, where, torch.zeros(entries, where.width).double(), torch.eye(entries).double())
    expected = gradient_at(model, loss(model, case), where, entries).T

    torch.testing.assert_close(cross(stats, where, uses).cross, expected, rtol=1e-8, atol=1e-12)


def tapped(model: nn.Module, x: Tensor, modules: list[str]) -> dict[str, list[tuple[Tensor, Tensor]]]:
    """Module -> what it took and gave at every call."""
    known: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in modules}
    for name in modules:
        model.get_submodule(name).register_forward_hook(lambda _, args, y, name=name: known[name].append((args[0], y)))
    model(x)
    return known


LAYERS = [each for each in AXES if each[0] != "Gpt2" and each != ("Averaged", "b")]  # a maximum is not linear


@pytest.mark.parametrize(("name", "axis"), LAYERS)
def test_the_second_moment_is_that_of_what_outgoing_weights_read(name: str, axis: str) -> None:
    case = network(name)
    stats = statistics(case, for_="prune")
    where, uses = found(stats, axis)
    d = where.width
    modules = [read.weight.removesuffix(".weight") for read in where.reads]
    sides = []
    for step in (STEP, -STEP):
        out = torch.zeros(d, sum(widths(stats, where)), dtype=torch.float64)
        model = added(stats, case, where, step * torch.eye(d).double(), out)
        with torch.no_grad():
            sides.append(tapped(model, case.x, modules))
    total = torch.zeros(d, d, dtype=torch.float64)
    for module in modules:
        before = case.model.get_submodule(module).weight.shape[1]
        for (above, _), (below, _) in zip(sides[0][module], sides[1][module], strict=True):
            total += squares(model.get_submodule(module), (above - below) / (2 * STEP), d, before)

    second = cross(stats, where, uses, second=True).second
    torch.testing.assert_close(second, total / len(case.x), rtol=1e-5, atol=1e-7)


def squares(layer: nn.Module, x: Tensor, units: int, before: int) -> Tensor:
    """Σ over all that one output's weights read of the last units."""
    total = torch.zeros(units, units, dtype=x.dtype)
    for read in reads(layer, x, units, before):
        total += read.T @ read
    return total


def reads(layer: nn.Module, x: Tensor, units: int, before: int) -> Iterator[Tensor]:
    """For every weight that an output has for a unit, what it reads: [n, units]."""
    if isinstance(layer, nn.Linear):
        each = (layer.in_features - before) // units  # entries of a unit
        own = x[..., -units * each :].unflatten(-1, (units, each))
        yield from (own[..., entry].flatten(0, -2) for entry in range(each))
        return
    shape = layer.weight.shape[2:]
    for tap in torch.eye(shape.numel(), dtype=x.dtype):
        weight = torch.eye(units, dtype=x.dtype)[..., None] * tap
        yield layer._conv_forward(x[:, -units:], weight.unflatten(2, shape), None).movedim(1, -1).flatten(0, -2)


@pytest.mark.parametrize(("name", "axis"), [each for each in AXES if each[0] not in ("Gpt2", "Twice")])
def test_what_is_left_of_the_gradient_is_orthogonal_to_the_consumers_inputs(name: str, axis: str) -> None:
    case = network(name, examples=60)
    stats = statistics(case, for_="prune")
    where, uses = found(stats, axis)
    state = state_of(stats.graph.program.exported)
    values = {use.operation.source for use in uses}
    batches = list(played(stats, values, {use.operation.node for use in uses}))
    best = updates(batches, where.reads, state)
    for use in uses:
        operation, left, whole = use.operation, 0.0, 0.0
        for batch in batches:
            x, gradient = batch.values[operation.source], batch.gradients[operation.node]
            rest = gradient - best[use.read.weight].response(operation, x)
            left += flat(operation.gather(x, rest, state[use.read.weight], operation.bias is not None))
            whole += flat(operation.gather(x, gradient, state[use.read.weight], operation.bias is not None))
        assert float(whole.detach().norm()) > 1e-4
        assert float(left.detach().norm()) < 1e-9 * float(whole.detach().norm())


def flat(gradients: tuple[Tensor, Tensor | None]) -> Tensor:
    return torch.cat([each.flatten() for each in gradients if each is not None])


SINGLE = [each for each in AXES if each[0] not in ("Gpt2", "Twice") and each != ("Residual", "stem")]


@pytest.mark.parametrize(("name", "axis"), SINGLE)
def test_the_moment_of_what_is_left_is_the_gradient_of_new_units_for_it(name: str, axis: str) -> None:
    case = network(name, examples=60)
    stats = statistics(case, for_="prune")
    where, uses = found(stats, axis)
    entries = sum(widths(stats, where))
    (use,) = uses
    batches = list(played(stats, {use.operation.source}, {use.operation.node}))
    best = updates(batches, where.reads, state_of(stats.graph.program.exported))[use.read.weight]
    x, gradient = (
        torch.cat([kept[name] for kept in kinds])
        for name, kinds in (
            (use.operation.source, [batch.values for batch in batches]),
            (use.operation.node, [batch.gradients for batch in batches]),
        )
    )
    rest = gradient - best.response(use.operation, x)
    model = added(stats, case, where, torch.zeros(entries, where.width).double(), torch.eye(entries).double())
    (calls,) = tapped(model, case.x, [use.read.weight.removesuffix(".weight")]).values()
    ((_, y),) = calls

    left = cross(stats, where, uses, projected=True).left
    expected = gradient_at(model, (rest * y).sum(), where, entries).T
    torch.testing.assert_close(left, expected, rtol=1e-7, atol=1e-12)


def test_batches_of_other_sizes_give_the_same() -> None:
    case = network("Wide", examples=7)
    sums = []
    for sizes in ([7], [1, 4, 2]):
        batches = list(zip(case.x.split(sizes), case.y.split(sizes), strict=True))
        stats = measure(case.model, ns.trace(case.model, case.x), batches, F.cross_entropy, for_="prune")
        where, uses = found(stats, "a")
        sums.append(cross(stats, where, uses, second=True, projected=True))
    for one, other in zip(*sums, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-13)


def test_pictures_of_other_sizes_are_summed_together() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 2, 3, padding=1))
    producer = Producer("a", "conv2d", "x", "0.weight", "0.bias", 0, options_of(model[0]), (3, 3))
    consumer = Producer("b", "conv2d", "h", "2.weight", None, 0, options_of(model[2]), (3, 3))
    x, small = torch.randn(2, 2, 6, 5), torch.randn(3, 2, 4, 3)
    g, little = torch.randn(2, 2, 6, 5), torch.randn(3, 2, 4, 3)
    moments, seconds = [Moment(producer, consumer) for _ in range(3)], [SecondMoment(producer) for _ in range(3)]
    for number, pairs in enumerate(([(x, g)], [(small, little)], [(x, g), (small, little)])):
        for a, b in pairs:
            moments[number].add(a, b)
            seconds[number].add(a)
    crosses, squared = torch.zeros(3, 19, 18, dtype=torch.float64), torch.zeros(3, 19, 19, dtype=torch.float64)
    for number in range(3):
        moments[number].add_to([crosses[number]])
        seconds[number].add_to(squared[number])
    for each in (crosses, squared):
        assert float(each[0].norm()) > 0
        torch.testing.assert_close(each[2], each[0] + each[1])


def options_of(layer: nn.Module) -> dict[str, Any]:
    return {key: getattr(layer, key) for key in ("stride", "padding", "dilation", "groups")}


def test_the_sums_of_single_precision_are_close_and_shifts_agree_with_patches() -> None:
    case = network("Strided", examples=40)
    sums = []
    for dtype in (torch.float32, torch.float64):
        model, x = case.model.to(dtype), case.x.to(dtype)
        stats = measure(model, ns.trace(model, x), [(x, case.y)], F.cross_entropy, for_="prune")
        where, uses = found(stats, "a")
        sums.append(cross(stats, where, uses, second=True))
    for one, other in zip(sums[0], sums[1], strict=True):
        if one is not None:
            assert one.dtype == torch.float64
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_what_is_known_is_kept_and_lost_with_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    case = network("Strided")
    stats = statistics(case, for_="prune")
    where, uses = found(stats, "a")
    both = cross(stats, where, uses, second=True, projected=True)
    monkeypatch.setattr("netsculpt.methods.growing.initial.cross.played", None)  # no more passes
    assert torch.equal(cross(stats, where, uses).cross, both.cross)
    with torch.no_grad():
        case.model.a.weight.add_(1)
    with pytest.raises(MeasureError, match="has changed since"):
        cross(stats, where, uses)


def test_without_room_batches_are_played_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found_with: list[Cross] = []
    for room in (1 << 30, 20_000, 0):
        monkeypatch.setattr("netsculpt.methods.growing.initial.cross.ROOM", room)
        stats = statistics(network("Strided"), for_="prune")
        where, uses = found(stats, "a")
        found_with.append(cross(stats, where, uses, projected=True))
    for each in found_with[1:]:
        assert torch.equal(each.cross, found_with[0].cross)
        assert torch.equal(each.left, found_with[0].left)  # type: ignore[arg-type]
