"""The length of offsets by trial on the calibration data; the model is not touched by it."""

import torch
from torch import nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import Statistics, measure
from netsculpt.methods.splitting.plan import SEARCHED
from netsculpt.methods.trial import tried


def measured(step: float) -> Statistics:
    torch.manual_seed(0)
    x = torch.randn(256, 6, dtype=torch.float64)
    y = (x[:, :1] * x[:, 1:2]).tanh()
    net = nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(300):
        optimizer.zero_grad()
        F.mse_loss(net(x), y).backward()
        optimizer.step()
    return measure(net, ns.trace(net, x[:2]), [(x, y)], F.mse_loss, step=step)


def test_the_best_of_the_lengths_is_taken_and_the_model_is_as_it_was() -> None:
    stats = measured(0.05)
    before = {name: tensor.clone() for name, tensor in stats.model.state_dict().items()}
    objects = list(stats.model.parameters())
    budget = ns.Budget(params="+60%")
    found = ns.split(stats, budget, step="search")
    lengths = [ns.split(stats, budget, step=stats.step * factor) for factor in SEARCHED]
    falls = [tried(stats, plan) for plan in lengths]
    assert tried(stats, found) == min(falls) < tried(stats, ns.split(stats, budget)) < 0
    assert min(falls) not in (falls[0], falls[-1]), "a search should not end at its ends here"
    assert all(now is then for now, then in zip(stats.model.parameters(), objects, strict=True))
    assert all(torch.equal(before[name], tensor) for name, tensor in stats.model.state_dict().items())
    assert len(ns.history(stats.model).records) == 0
    assert stats.is_current


def test_what_is_tried_is_what_applying_does() -> None:
    stats = measured(0.1)
    plan = ns.split(stats, ns.Budget(params="+30%"))
    expected = tried(stats, plan)
    ns.apply(plan, stats.model, graph=stats.graph)
    assert stats.loss_of(stats.model) - stats.loss == expected
