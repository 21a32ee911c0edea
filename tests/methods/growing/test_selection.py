"""Which candidates are accepted, beside those that are in already."""

import pytest
import torch

from netsculpt.choice import Limits
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
