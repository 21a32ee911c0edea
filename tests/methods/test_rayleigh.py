"""The published stochastic route: bounds from one side, with residuals that tell how far it came."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netsculpt.errors import ArgumentError
from netsculpt.graph import trace
from netsculpt.measure import Statistics, measure
from netsculpt.methods.splitting import rayleigh, spectra, split


@pytest.fixture(scope="module")
def stats() -> Statistics:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 5, 3), nn.SiLU(), nn.Conv2d(5, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 3))
    batches = [(random(32, 2, 6, 6), torch.randint(0, 3, (32,), generator=generator)) for _ in range(8)]
    return measure(net.double(), trace(net, batches[0][0]), batches, F.cross_entropy, max_bytes=0)


def test_values_are_inside_the_spectrum_and_come_near_its_ends(stats: Statistics) -> None:
    exact, found = spectra(stats), rayleigh(stats, ends="both", epochs=12)
    for name, (values, vectors, residuals, _, passes) in found.items():
        lowest, highest = exact[name].values.unbind(1)
        gaps = torch.stack([values[:, 0] - lowest, highest - values[:, 1]]) / exact[name].values.abs().amax(1)
        assert float(gaps.min()) >= -1e-9
        assert float(gaps.mean()) < 0.1
        torch.testing.assert_close(vectors.norm(dim=2), torch.ones_like(values))
        assert float(residuals.max()) > 1e-4 and passes == 13


def test_residuals_are_those_of_the_pairs(stats: Statistics) -> None:
    from netsculpt.methods.splitting.spectra import multiply

    for name, found in rayleigh(stats, epochs=2).items():
        v = found.vectors[:, 0]
        product = multiply(stats, {name: v})[name]
        gaps = (product - found.values[:, :1] * v).norm(dim=1) / found.values.abs().amax(1)
        torch.testing.assert_close(found.residuals[:, 0], gaps)


def test_plans_can_be_made_of_it(stats: Statistics) -> None:
    from netsculpt.edit import Budget

    plan = split(stats, Budget(params="+30%"), spectrum=rayleigh(stats, epochs=4))
    best = split(stats, Budget(params="+30%"))
    assert plan.predicted is not None and best.predicted is not None
    assert best.predicted <= plan.predicted < 0


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"lr": 0.0}, {"decay": 0.0}, {"axes": ["nowhere"]}])
def test_senseless_arguments_are_refused(stats: Statistics, wrong: dict[str, object]) -> None:
    with pytest.raises(ArgumentError):
        rayleigh(stats, **wrong)  # type: ignore[arg-type]
