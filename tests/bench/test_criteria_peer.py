"""The comparison with torch-pruning, with what we say that it computes in the place of what it does."""

import torch
from torch.nn import functional as F

import netsculpt as ns
from bench.prune.criteria_network import made
from bench.prune.criteria_peer import COMPARED, close, correlation, row
from netsculpt.measure import measure


def test_a_criterion_that_differs_is_told_from_one_that_does_not() -> None:
    model, x, y = made()
    stats = measure(model, ns.trace(model, x), [(x, y)], F.cross_entropy, for_="prune")
    axes = [axis.name for axis in stats.graph.sculptable]
    for name, compared in COMPARED.items():
        theirs = {axis: (compared.theirs or compared.ours)(stats, axis) for axis in axes if axis != "fc"}
        cells = [cell.strip() for cell in row(name, compared, stats, theirs).strip("|").split("|")]
        assert cells[0] == name and cells[1] == cells[5] == str(len(theirs)) == "5"
        assert (cells[2] == cells[3] == "5") == (compared.theirs is None)


def test_closeness_and_rank_correlation() -> None:
    a = torch.tensor([1.0, 5.0, 2.0, 9.0])
    assert correlation(a, a.exp()) == 1.0 and correlation(a, -a) == -1.0
    assert close(a, a * (1 + 1e-6)) and not close(a, a + 0.1)
