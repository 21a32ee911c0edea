"""The experiment on growing in small: arms grow within the budget, and the tables hold their lines."""

import argparse

import torch

from bench.experiments import grow_fashion, grow_toy
from bench.experiments.data import Images
from bench.experiments.grow_fashion import Trial, uniform
from bench.experiments.grow_fashion_tables import LOOKS, arms, report


def pictures(count: int, seed: int) -> Images:
    chance = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 10
    return Images(torch.randn(count, 1, 28, 28, generator=chance) + labels.reshape(-1, 1, 1, 1) / 3, labels)


def test_arms_grow_within_the_budget_and_the_table_holds_their_lines(monkeypatch) -> None:
    monkeypatch.setattr(grow_fashion, "CALIBRATION", 1)
    options = argparse.Namespace(epochs=1, budget=2.0)
    trial = Trial("vgg", 0, (pictures(256, 0), pictures(100, 1)), options)
    first = sum(p.numel() for p in trial.model.parameters())
    lines = [trial.grown(arm, 1)[0] for arm in ("S2D", "random units")]
    assert all(first < line["params"] <= 2 * first for line in lines)
    never = trial.fixed("never grown", grow_fashion.build("vgg", 0))
    assert never["params"] == first
    found = {"machine": {"CPU": "some"}, "examples": 256, "seeds": 1, "epochs": 1, "budget": 2.0}
    text = report({**found, "lines": [*lines, never]})
    assert "## vgg" in text and "| never grown |" in text and f"| S2D | {lines[0]['params']:,} |" in text
    assert set(arms({"lines": lines}, "vgg")) <= set(LOOKS) and set(grow_fashion.ARMS) <= set(LOOKS)


def test_a_uniform_network_has_about_the_parameters_asked_for() -> None:
    asked = 3 * sum(p.numel() for p in grow_fashion.build("residual", 0).parameters())
    found = sum(p.numel() for p in uniform("residual", asked, 0).parameters())
    assert abs(found - asked) < 0.1 * asked


def test_the_toy_switches_on_what_each_score_chooses(monkeypatch) -> None:
    monkeypatch.setattr(grow_toy, "WIDTH", 2)
    monkeypatch.setattr(grow_toy, "LAYERS", 2)
    monkeypatch.setattr(grow_toy, "CHOSEN", (3,))
    ways = {name: way for name, way in grow_toy.WAYS.items() if "coordinate" not in name}
    monkeypatch.setattr(grow_toy, "WAYS", ways)
    found = {2: [grow_toy.trial(0, pictures(12 * 128, 0), 2)]}
    assert set(found[2][0]) == {"nothing on", "all on", *ways}
    assert "| end point |" in grow_toy.report(found) and "8 candidates" in grow_toy.report(found)
