"""TINY: orthonormal answers, the fall of the loss that was predicted, and units for what existing weights cannot do."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.measure import Statistics, measure
from netsculpt.methods.growing.initial import tiny
from netsculpt.methods.growing.initial.cross import cross
from netsculpt.methods.growing.initial.places import place
from tests.measure.networks import Case
from tests.methods.growing.initial.networks import AXES, loss, network, statistics, widened

K = 2  # classes less one
# A maximum is not linear, however small it is; for 60 examples, 81 inputs leave nothing.
SMOOTH = [each for each in AXES if each not in (("Averaged", "b"), ("Strided", "b"))]


@pytest.mark.parametrize("project", [True, False])
@pytest.mark.parametrize(("name", "axis"), SMOOTH)
def test_the_loss_falls_as_predicted(name: str, axis: str, project: bool) -> None:
    case = network(name, examples=60)
    stats = statistics(case, for_="prune")
    before = float(loss(case.model, case).detach())
    falls = []
    for amplitude in (4e-6, 1e-6):
        new = tiny(stats, axis, K, amplitude=amplitude, project=project)
        falls.append((before - float(loss(widened(case, axis, new.slices), case).detach())) / amplitude)
    size = max(float(new.decrease.sum()), float(new.gains.sum()))
    assert size > 1e-6
    # The next term goes with the root of the amplitude: two amplitudes tell where it is 0.
    assert 2 * falls[1] - falls[0] == pytest.approx(float(new.decrease.sum()), abs=5e-3 * size)
    if not project:
        torch.testing.assert_close(new.decrease, new.gains)


def parts(stats: Statistics, axis: str, slices: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Incoming and outgoing weights: [k, d] and [k, e]."""
    where = place(stats, axis)
    incoming = [
        torch.cat([slices[each.name], *([] if each.bias is None else [slices[each.bias]])], 1)
        for each in where.unit.weights
    ]
    return torch.cat(incoming, 1), torch.cat([slices[read.weight] for read in where.reads], 1)


@pytest.mark.parametrize(("name", "axis"), [("Plain", "a"), ("Wide", "a"), ("Strided", "a"), ("Residual", "stem")])
def test_units_are_the_singular_vectors_of_what_is_left(name: str, axis: str) -> None:
    case = network(name, examples=60)
    stats = statistics(case, for_="prune")
    where = place(stats, axis)
    uses = where.uses(where.body.responses())
    sums = cross(stats, where, uses, second=True, projected=True)
    new = tiny(stats, axis, K)
    incoming, out = parts(stats, axis, new.slices)

    # αᵢᵀ S αⱼ = sᵢ and ωᵢ · ωⱼ = sᵢ for i = j, 0 otherwise; αᵢᵀ N ωⱼ = -sᵢ².
    torch.testing.assert_close(incoming @ sums.second @ incoming.T, new.gains.sqrt().diag(), rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(out @ out.T, new.gains.sqrt().diag(), rtol=1e-6, atol=1e-12)
    torch.testing.assert_close(incoming @ sums.left @ out.T, -new.gains.diag(), rtol=1e-6, atol=1e-12)

    # No others of the same size do better.
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        a = torch.randn(where.width, generator=generator, dtype=torch.float64)
        w = torch.randn(out.shape[1], generator=generator, dtype=torch.float64)
        assert abs(float(a @ sums.left @ w)) < float(new.gains[0].sqrt() * (a @ sums.second @ a).sqrt() * w.norm())


def test_nothing_is_left_where_the_consumer_can_fit_every_gradient() -> None:
    case = network("Strided")  # six examples, 80 inputs
    stats = statistics(case, for_="prune")
    new = tiny(stats, "b", 2)
    assert (new.gains == 0).all()
    assert (new.decrease == 0).all()
    assert (new.slices["head.weight"] == 0).all()
    assert (new.slices["b.weight"] != 0).any(1).all()
    assert (tiny(stats, "b", 2, project=False).gains > 0).all()


class Repeated(nn.Module):
    """Inputs that are each there twice, and one that is always 0: S has rank 3 (with the bias) of 6."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(5, 4), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(self.a(torch.cat([x, x, 0 * x[:, :1]], 1))))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_directions_that_inputs_do_not_have_are_left_out(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = Repeated().to(dtype).eval()
    case = Case(model, torch.randn(50, 2, dtype=dtype), torch.randint(0, 3, (50,)))
    stats = measure(model, ns.trace(model, case.x), [(case.x, case.y)], F.cross_entropy, for_="prune")
    new = tiny(stats, "a", 4)

    assert (new.gains > 0).tolist() == [True, True, False, False]
    weight = new.slices["a.weight"][:2]
    assert float(weight.abs().max()) < 100
    torch.testing.assert_close(weight[:, :2], weight[:, 2:4], rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(weight[:, 4], torch.zeros(2, dtype=dtype), rtol=0, atol=1e-5)
    assert new.slices["a.weight"].dtype == dtype


def test_a_ridge_and_a_rank_bound_the_incoming_weights() -> None:
    case = network("Wide", examples=60)
    stats = statistics(case, for_="prune")
    sizes = [
        float(parts(stats, "a", tiny(stats, "a", K, **options).slices)[0].norm())
        for options in ({}, {"ridge": 1.0}, {"ridge": 10.0})
    ]
    assert sizes == sorted(sizes, reverse=True)
    whole, bounded = tiny(stats, "a", K), tiny(stats, "a", K, rank=0.5)
    assert float(bounded.gains.sum()) < float(whole.gains.sum())


def test_the_amplitude_scales_what_units_add() -> None:
    stats = statistics(network("Plain", examples=60), for_="prune")
    one, four = (tiny(stats, "a", K, amplitude=amplitude) for amplitude in (1.0, 4.0))
    for each, other in zip(parts(stats, "a", one.slices), parts(stats, "a", four.slices), strict=True):
        torch.testing.assert_close(2 * each, other)
    torch.testing.assert_close(one.gains, four.gains)
    torch.testing.assert_close(one.decrease, four.decrease)


def test_a_relu_counts_half() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double().eval()
    x, y = torch.randn(60, 4, dtype=torch.float64), torch.randint(0, 3, (60,))
    stats = measure(model, ns.trace(model, x), [(x, y)], F.cross_entropy, for_="prune")
    where = place(stats, "0")
    ((way,),) = (use.ways for use in where.uses(where.body.responses(1.0)))
    assert way.factor == 1.0
    new, full = tiny(stats, "0", K), cross(stats, where, where.uses(where.body.responses(1.0)), second=True)
    incoming, _ = parts(stats, "0", new.slices)
    torch.testing.assert_close(incoming @ full.second @ incoming.T, 4 * new.gains.sqrt().diag(), rtol=1e-6, atol=1e-12)


def test_wide_consumers_are_not_projected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsculpt.methods.growing.initial.projection.LARGEST", 80)
    stats = statistics(network("Strided"), for_="prune")
    with pytest.raises(MeasureError, match=r"head.weight has 81 inputs: .* of more than 80 .*; use project=False"):
        tiny(stats, "b", 1)
    assert len(tiny(stats, "b", 1, project=False).gains) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k must be a number of units above 0, not 0"),
        ({"amplitude": 0.0}, "amplitude must be above 0, not 0.0"),
        ({"amplitude": float("inf")}, "amplitude must be above 0, not inf"),
        ({"ridge": -1.0}, "ridge must be 0 or above, not -1.0"),
        ({"rank": 1.0}, "rank must be a share below 1, or None, not 1.0"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, object], message: str) -> None:
    stats = statistics(network("Plain"), for_="prune")
    with pytest.raises(ArgumentError, match=message):
        tiny(stats, "a", **{"k": 2, **options})  # type: ignore[arg-type]
