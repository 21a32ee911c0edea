"""The command on a tiny network, what it says of crashes, hangs and an absent peer, the arithmetic of its tables."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bench.graph import child
from bench.graph.__main__ import main
from bench.graph.child import measure, outcome
from bench.graph.clock import least, repeated
from bench.graph.models import COMPARED, FAMILIES, MODELS, TRACED, find
from bench.graph.ours import staged
from bench.graph.report import report
from netsculpt.graph import tracing

TRACE = {"total": 1.0, "first": 2.0, "export": 0.7, "analysis": 0.1, "probe": 0.2}
TRACE |= {"nodes": 100, "axes": 9, "sculptable": 8}
STEP = {"total": 0.2, "plan": 0.05, "apply": 0.15, "checked": 0.6, "edits": 8, "before": 8_000_000, "after": 2_000_000}
SPIN = {"total": 1.0}


def spin() -> dict[str, float]:
    while True:
        try:
            time.process_time()
        except Exception:  # no time limit may end up here
            raise AssertionError from None


def crash(*_: Any) -> dict[str, Any]:
    raise ZeroDivisionError("integer division\nand more")


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def found(**more: Any) -> dict[str, Any]:
    return {"machine": {"CPU": "some"}, "repeats": 5, "limit": 60.0, "tracing": {}, "depth": {}, "step": {}} | more


@pytest.mark.slow
def test_traces_and_prunes_a_tiny_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers, tables = tmp_path / "graph.json", tmp_path / "graph.md"
    given = ["--model", "densenet_own", "--repeats", "1", "--only", "tracing", "--only", "step"]
    main([*given, "--json", str(numbers), "--markdown", str(tables)])
    rows = json.loads(numbers.read_text())
    traced, stepped = rows["tracing"]["densenet_own"], rows["step"]["densenet_own"]
    assert traced["total"] >= traced["export"] + traced["analysis"] + traced["probe"]
    assert min(traced["export"], traced["analysis"], traced["probe"]) > 0
    assert 0 < stepped["after"] < stepped["before"] / 2
    assert stepped["edits"] == traced["sculptable"]
    assert tables.read_text().strip() == capsys.readouterr().out.strip()
    assert "| DenseNet, own, tiny | 161 | 17 | 16 |" in tables.read_text()


def test_an_absent_peer_is_said_in_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for python in (str(tmp_path / "none"), script(tmp_path / "empty", "exit 1")):
        main(["--only", "peer", "--peer-python", python])
        said = [line for line in capsys.readouterr().out.splitlines() if "torch-pruning" in line]
        assert len(said) == 1
        assert said[0].startswith(f"Not compared with torch-pruning: {Path(python).name} does not have it;")


def test_a_hang_and_a_crash_are_answers() -> None:
    assert outcome(lambda _, *limits: {"samples": repeated(spin, *limits)}, "any", 5, 0.05) == {
        "error": "more than 0.05 s"
    }
    crashed = outcome(crash, "any", 5, 1.0)
    assert (crashed["error"], crashed["said"]) == ("ZeroDivisionError", "integer division")
    assert crashed["place"].startswith("test_graph.py:")


def test_a_child_that_dies_or_never_answers_is_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    died = measure(script(tmp_path / "dies", "echo no memory >&2; exit 3"), "ours", "trace", "any", 1, 60)
    assert died == {"error": "the process ended with 3: no memory"}
    monkeypatch.setattr(child, "PATIENCE", 0.01)
    slow = measure(script(tmp_path / "sleeps", "exec sleep 20"), "ours", "trace", "any", 1, 10)
    assert slow == {"error": "no answer in 0.1 s of wall time"}


def test_repeats_as_often_as_asked_but_not_for_long() -> None:
    assert repeated(lambda: SPIN, 3, 1.0) == [SPIN] * 3

    def slow() -> dict[str, float]:
        until = time.process_time() + 0.03
        while time.process_time() < until:
            pass
        return SPIN

    assert len(repeated(slow, 1000, 0.1)) < 10
    assert least([{"total": 2.0, "plan": 0.1}, {"total": 1.0, "plan": 0.3}]) == {"total": 1.0, "plan": 0.3}


def test_watching_the_stages_leaves_no_trace() -> None:
    before = (tracing.export, dict(vars(tracing.Probe)))
    with staged():
        assert tracing.export is not before[0]
    assert (tracing.export, dict(vars(tracing.Probe))) == before


def test_every_name_is_of_a_model() -> None:
    assert set(TRACED) | set(COMPARED) <= set(MODELS)
    for family in FAMILIES:
        assert find(f"{family}@2").missing() or sum(1 for _ in find(f"{family}@2").build().parameters()) > 0


def test_the_report_divides_and_judges() -> None:
    theirs = {"total": 3.0, "tracing": 0.4, "groups": 9, "after": 2_100_000, "before": 8_000_000}
    peer = {"version": "1.6.1", "torch": "2.13", "groups": {"densenet121": theirs}, "step": {"densenet121": theirs}}
    text = report(found(tracing={"densenet121": TRACE}, step={"densenet121": STEP}, peer=peer))
    assert "| DenseNet-121 | 100 | 9 | 8 | 2 s | 1 s | 700 ms | 100 ms | 200 ms |" in text
    assert "| DenseNet-121 | 3 s | 100 ms | 30× | 3 s | 200 ms | 15× | 2.10 M | 2.00 M | 400 ms | 900 ms |" in text
    assert "- DenseNet-121, prune step ten times as fast as torch-pruning: 15.0 times, met" in text


def test_the_report_shows_what_failed() -> None:
    failed = {"error": "more than 60 s"}
    crashed = {"error": "ZeroDivisionError", "said": "", "place": "a.py:3"}
    peer = {"version": "1.6.1", "torch": "2.13", "groups": {"swin_t": failed}, "step": {"swin_t": crashed}}
    slow = STEP | {"apply": 0.7}
    text = report(
        found(
            tracing={"swin_t": TRACE, "resnet50": TRACE | {"total": 3.5}, "gpt2": crashed},
            step={"swin_t": STEP, "resnet50": slow},
            depth={"gpt2@12": TRACE, "gpt2@24": failed},
            peer=peer,
        )
    )
    assert "| Swin-T | more than 60 s | 100 ms | - | ZeroDivisionError (a.py:3) | 200 ms | - |" in text
    assert "- ResNet-50 traced in less than 3 s: 3.5 s, missed" in text
    assert "- GPT-2, transformers traced in less than 3 s: ZeroDivisionError (a.py:3), missed" in text
    assert "- a plan for every layer of ResNet-50 applied in less than 0.5 s: 700 ms, missed" in text
    assert "| GPT-2, transformers | 12 | 100 | 1 s | 10 ms | 7 ms | 1 ms | 2 ms |" in text
    assert "| GPT-2, transformers | 24 |  | more than 60 s |" in text
