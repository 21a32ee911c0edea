"""The experiment on how fast errors fall: its geometry, its ways to choose, the arithmetic of its tables."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from bench.experiments.decay import described
from bench.experiments.decay_descents import Descent, descents, geometry
from bench.experiments.decay_figure import draw
from bench.experiments.decay_layers import Layer, two_layers
from bench.experiments.decay_tables import bounds, by_kept, fits, fitted, iterations, report

spatial = pytest.importorskip("scipy.spatial")


def gram(points: Tensor) -> Tensor:
    """Of units that together have energy 1."""
    products = points @ points.T
    return products / products.sum()


def points(count: int, dim: int) -> Tensor:
    return torch.randn(count, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.3


def layer(errors: list[float], radius: float | None = 1.0) -> dict[str, Any]:
    kept = {step: float(min(step, 3)) for step in (1, 2, 5, 10) if step <= len(errors)}
    descent = Descent("line search", errors, kept)._asdict()
    return {
        "title": "some",
        "geometry": {"dimension": 2, "radius": radius, "diameter": 2.0},
        "descents": [descent],
    }


@pytest.mark.parametrize(("count", "dim"), [(6, 5), (6, 8), (40, 3)])
def test_the_radius_is_the_hulls(count: int, dim: int) -> None:
    """A simplex, one in a space of more dimensions, and a hull of many points."""
    own = points(count, dim)
    found = geometry(gram(own))
    scale = float((own @ own.T).sum().sqrt()) / count  # of the points N c_i, whose mean has energy 1
    assert found.dimension == min(count - 1, dim)
    assert found.diameter == pytest.approx(float(torch.pdist(own).max()) / scale)
    centred = own - own.mean(0)
    flat = centred @ torch.linalg.svd(centred).Vh[: found.dimension].T
    radius = float((-spatial.ConvexHull(flat.numpy()).equations[:, -1]).min())
    assert found.radius == pytest.approx(radius / scale)


def test_many_dimensions_are_left_alone() -> None:
    assert geometry(gram(points(40, 12))).radius is None


def test_errors_are_those_of_the_units_drawn() -> None:
    own = points(30, 4)
    line, fixed, least, drawn = descents(gram(own), 50)
    assert [each.method for each in (line, fixed, least, drawn)] == [
        "line search",
        "fixed step",
        "least squares",
        "random",
    ]
    spread = 30**2 * float((own - own.mean(0)).square().sum(1).mean() / own.sum(0).square().sum())
    assert drawn.errors[0] == pytest.approx(spread, rel=0.4) and drawn.errors[49] == pytest.approx(spread / 50, rel=0.4)
    assert len(least.errors) == 4 and least.errors[-1] < 1e-12
    assert line.errors[-1] < 1e-12 < fixed.errors[-1] < 0.1 * drawn.errors[-1]
    assert all(units <= min(30, step) for each in (line, fixed, least, drawn) for step, units in each.kept.items())
    assert fixed.kept[50] == len(set(_chosen(own, 50)))


def _chosen(own: Tensor, steps: int) -> list[int]:
    """The fixed step, by trying every unit."""
    target, total, order = own.mean(0), torch.zeros(own.shape[1], dtype=torch.float64), []
    for k in range(1, steps + 1):
        order.append(int((((total + own) / k) - target).square().sum(1).argmin()))
        total = total + own[order[-1]]
    return order


def test_rates_of_known_laws() -> None:
    power, factor = fits([3 * k**-2.0 for k in range(1, 1001)])
    assert power.slope == pytest.approx(-2) and power.r2 == pytest.approx(1) and factor.r2 < 0.9
    errors = [0.5**k for k in range(1, 60)]
    assert fitted(errors) == (1, 39)
    power, factor = fits(errors)
    assert factor.slope == pytest.approx(-0.6931, abs=1e-4) and factor.r2 == pytest.approx(1) and power.r2 < 0.9


def test_steps_above_the_bound_are_counted() -> None:
    """r = 1 and diam = 2: the bound is 3/4."""
    assert bounds([layer([1.0, 0.7, 0.56, 0.4])]).splitlines()[-1].endswith("| 1 - 0.25 | 0.800000 | 3 | 1 |")
    assert "not computed" in bounds([layer([1.0, 0.7], None)])


def test_tables_say_iterations_and_units() -> None:
    found = layer([1.0, 0.7, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05, 0.01, 1e-13])
    assert "| some | line search | 1.0e+00 (1) |  | < 1e-12 (3) |  |" in iterations([found])
    assert "| some | line search | < 1e-12 | < 1e-12 |" in by_kept([found])


def test_from_a_network_to_tables_and_a_figure(tmp_path: Path) -> None:
    few, *_ = two_layers(30)
    assert float(few.gram.sum()) == pytest.approx(1) and few.title == "two layers, 30 units, 6 examples"
    layers = [described(each, 200) for each in (few, Layer("simplex", gram(points(9, 8))))]
    found = {"machine": {"CPU": "some"}, "examples": 1, "layers": layers}
    text = report(found | {"network": {"widths": (1, 2), "epochs": 3, "pictures": 4}})
    rows = [line for line in text.splitlines() if line.startswith(("| two layers, 30 units, 6 ex", "| simplex"))]
    assert len(rows) == 2 * (3 * 4 + 1)
    assert sum(line.endswith("| 0 |") for line in rows) == 2
    pytest.importorskip("matplotlib")
    draw(found, tmp_path / "decay.png")
    assert (tmp_path / "decay.png").stat().st_size > 10_000
