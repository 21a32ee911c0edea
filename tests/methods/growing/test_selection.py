"""Which candidates are accepted, beside those that are in already."""

import pytest
import torch

from netsculpt.choice import Limits
from netsculpt.edit import Budget
from netsculpt.methods.growing.overlay import Overlay
from netsculpt.methods.growing.selection import select
from tests.methods.growing.nets import measured


@pytest.mark.parametrize("solver", ["greedy", "exact"])
def test_the_best_join_those_that_are_in(solver: str) -> None:
    _, stats = measured("mlp")
    overlay = Overlay(stats.model, stats.graph, kinds=("new",), new_units={"0": 6, "2": 6})
    accepted, scores = overlay.off(), {key: gate.double() for key, gate in overlay.off().items()}
    first, second = scores
    accepted[first][5] = 1
    scores[first][:5] = -torch.tensor([1.0, 5.0, 2.0, 3.0, 4.0]) * 1e-3
    scores[second][:] = -torch.tensor([1.5, 9.0, 2.5, 8.0, 3.5, 4.5]) * 1e-3
    gates, _ = select(overlay, scores, Limits(units=4), solver=solver, accepted=accepted)  # type: ignore[arg-type]
    assert gates[first].nonzero()[:, 0].tolist() == [1, 5]
    assert gates[second].nonzero()[:, 0].tolist() == [1, 3]


def test_the_exact_solver_sees_the_rest_beside_those_that_are_in() -> None:
    _, stats = measured("mlp")
    overlay = Overlay(stats.model, stats.graph, kinds=("new",), new_units={"0": 12, "2": 12})
    accepted, generator = overlay.off(), torch.Generator().manual_seed(1)
    scores = {key: -torch.rand(12, generator=generator, dtype=torch.float64).pow(3) * 1e-2 for key in accepted}
    first, second = scores
    accepted[first][0], scores[first][0] = 1, 0
    limit = stats.graph.cost().params + 97
    gates, _ = select(overlay, scores, Limits(Budget(params=limit)), solver="exact", accepted=accepted)
    best = [each.sort().values for each in (scores[first][1:], scores[second])]
    sizes = [stats.graph[axis].size for axis, _ in scores]
    fitting = [
        float(best[0][:a].sum() + best[1][:b].sum())
        for a in range(12)
        for b in range(13)
        if stats.graph.cost({first[0]: sizes[0] + 1 + a, second[0]: sizes[1] + b}).params <= limit
    ]
    found = sum(float((scores[key] * gate).sum()) for key, gate in gates.items())
    assert found == pytest.approx(min(fitting), rel=1e-9)
