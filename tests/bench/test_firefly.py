"""The bench of growing: the published route is what it says, and the report names what was measured."""

import torch
from torch.nn import functional as F

from bench.firefly.__main__ import report
from bench.firefly.child import WAYS
from bench.firefly.network import data, network
from bench.firefly.published import Published


def test_without_candidates_the_published_route_answers_as_the_network() -> None:
    model, ((x, y),) = network(4), data(3, 1)
    route = Published(model, 2)
    with torch.no_grad():
        for value in route.values:
            value.zero_()
        torch.testing.assert_close(route.loss(x, y), F.cross_entropy(model(x), y), rtol=1e-4, atol=1e-5)
    assert sum(map(len, route.score(x, y))) == 16 * (4 + 2)


def test_its_tuning_lowers_the_loss() -> None:
    model, ((x, y),) = network(4), data(8, 1)
    route = Published(model, 3)
    first = float(route.loss(x, y).detach())
    for _ in range(20):
        route.tune(x, y)
    assert float(route.loss(x, y).detach()) < first


def test_both_have_as_many_candidates_and_the_report_names_what_was_measured() -> None:
    sizes = (3, 2, 4)
    found = {name: WAYS[name](*sizes) for name in ("training", "ours", "published")}
    assert found["ours"]["candidates"] == found["published"]["candidates"] == 16 * (3 + 2)
    for way in found.values():
        way["memory"] = 2**20  # a peak rises only in a process of its own, as the bench starts one
    growth = {"grow": 12.0, "apply": 0.5, "units": 16}
    text = report({"machine": {"threads": 1}, "sizes": list(sizes), "growth": growth, **found})
    assert "| published route |" in text and "Candidates: netsculpt 80, published 80." in text
    assert "16 of the candidates chosen" in text
