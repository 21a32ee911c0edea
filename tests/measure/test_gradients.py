"""Gradients of parameters against autograd, example by example."""

import gc
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.errors import MeasureError
from netsculpt.measure import Statistics, measure
from netsculpt.measure.gradients import gradients, squared_gradients


class Net(nn.Module):
    """A hidden layer, one that is used twice under two names, a dropout and a parameter that nothing uses."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.mix, self.down = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.again = self.mix
        self.unused = nn.Parameter(torch.ones(2))
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        h = self.dropout(torch.tanh(self.again(torch.tanh(self.mix(self.up(x))))))
        return self.down((h * mask[..., None]).sum(1))


def batches() -> list[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "x": torch.randn(size, 6, 4, generator=generator, dtype=torch.float64),
            "mask": torch.rand(size, 6, generator=generator, dtype=torch.float64),
            "labels": torch.randint(0, 3, (size,), generator=generator),
        }
        for size in (4, 3)
    ]


def loss_fn(answer: Tensor, batch: dict[str, Tensor]) -> Tensor:
    return F.cross_entropy(answer, batch["labels"])


def measured() -> tuple[Net, Statistics]:
    torch.manual_seed(0)
    model = Net().double()
    graph = ns.trace(model, {name: each for name, each in batches()[0].items() if name != "labels"})
    return model, measure(model, graph, batches(), loss_fn, for_="prune")


def own(model: Net) -> list[dict[str, Tensor]]:
    """The gradients of every example's own loss."""
    model.eval()
    found = []
    for batch in batches():
        for k in range(len(batch["x"])):
            one: dict[str, Any] = {name: each[k : k + 1] for name, each in batch.items()}
            loss = loss_fn(model(one["x"], one["mask"]), one)
            each = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True)
            pairs = zip(dict(model.named_parameters()).items(), each, strict=True)
            found.append({name: torch.zeros_like(p) if g is None else g for (name, p), g in pairs})
    model.train()
    return found


def test_means_and_mean_squares_over_examples() -> None:
    model, stats = measured()
    model.up.weight.requires_grad_(False)
    for found, power in ((gradients(stats), 1), (squared_gradients(stats), 2)):
        model.up.weight.requires_grad_(True)
        expected = own(model)
        model.up.weight.requires_grad_(False)
        assert found.keys() == expected[0].keys()
        for name, each in found.items():
            assert each.dtype is torch.float64
            torch.testing.assert_close(each, sum(example[name] ** power for example in expected) / len(expected))
    assert float(gradients(stats)["unused"].abs().max()) == 0
    assert float(gradients(stats)["up.weight"].abs().max()) > 0
    assert model.training and all(each.grad is None for each in model.parameters())


def test_they_are_computed_once_and_forgotten_with_the_statistics() -> None:
    _, stats = measured()
    first = gradients(stats)
    assert gradients(stats) is first
    kept = weakref.ref(stats)
    del stats
    gc.collect()
    assert kept() is None


def test_a_model_that_changed_since_is_refused() -> None:
    model, stats = measured()
    gradients(stats)
    with torch.no_grad():
        model.up.weight.add_(1)
    with pytest.raises(MeasureError, match="has changed since"):
        gradients(stats)


def test_what_is_not_finite_is_refused() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)).double()
    x = torch.zeros(2, 2, dtype=torch.float64)
    for each in model.parameters():
        nn.init.zeros_(each)
    stats = measure(model, ns.trace(model, x), [(x, x)], lambda out, _: out.sqrt().mean(), for_="prune")
    with pytest.raises(MeasureError, match=r"gradient of '.*' on the calibration data is not finite"):
        gradients(stats)
