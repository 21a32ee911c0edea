"""The command on small layers, the angle between subspaces, and the tables."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.grow.__main__ import main
from bench.grow.child import measure
from bench.grow.compare import angle, compared
from bench.grow.report import report


def side(seconds: float, **more: Any) -> dict[str, Any]:
    return {way: {"statistics": seconds, "solve": seconds / 2} for way in ("gradmax", "tiny")} | more


def found(peer: dict[str, Any]) -> dict[str, Any]:
    both = {"ours": side(0.2, plain=0.1), "peer": peer}
    if "error" not in peer:
        both["angles"] = {"gradmax out": 1e-7, "tiny in": 2e-6, "tiny out": 3e-6}
    return {"machine": {"CPU": "some"}, "repeats": 3, "layers": {"linear": {"float32": both}}}


def test_the_angle_is_the_largest_one() -> None:
    tilted = torch.tensor([[1.0, 0, 0, 0], [0, math.cos(1e-9), math.sin(1e-9), 0]], dtype=torch.float64)
    plane = torch.tensor([[2.0, 1, 0, 0], [0, 3, 0, 0]], dtype=torch.float64)
    assert angle(plane, tilted) == pytest.approx(1e-9)
    assert angle(plane, torch.eye(4, dtype=torch.float64)[2:]) == pytest.approx(math.pi / 2)


def test_units_are_compared_and_not_written() -> None:
    units = {name: torch.randn(2, 5, dtype=torch.float64) for name in ("gradmax out", "tiny in", "tiny out")}
    both = compared({"units": units}, {"units": {name: 3 * each for name, each in units.items()}})
    assert json.loads(json.dumps(both)) == both
    assert all(each < 1e-12 for each in both["angles"].values())
    assert "angles" not in compared({"units": units}, {"error": "no gromo"})


def test_the_tables_say_how_often_a_plain_pass_fits() -> None:
    text = report(found(side(1.5, gromo="0.1.0", torch="2.13.0")))
    assert "beside gromo 0.1.0 on torch 2.13.0" in text
    assert "| TINY | 100 ms | 200 ms | 2× | 100 ms | 1.5 s | 15× | 750 ms |" in text
    assert "| float32 | 1.0e-07 | 2.0e-06 | 3.0e-06 |" in text
    assert "Not compared" not in text


def test_a_missing_peer_is_said() -> None:
    text = report(found({"error": "the process ended with 1: ModuleNotFoundError: No module named 'gromo'"}))
    assert "| TINY | 100 ms | 200 ms | 2× | 100 ms |  |  |  |" in text
    assert "- linear 1024-1024-1024, 4096 examples, float32, peer: the process ended with 1: Module" in text


@pytest.mark.slow
def test_measures_small_layers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers, tables = tmp_path / "grow.json", tmp_path / "grow.md"
    given = ["--layers", "small", "narrow", "--repeats", "1"]
    main([*given, "--json", str(numbers), "--markdown", str(tables)])
    rows = json.loads(numbers.read_text())
    for layer in ("small", "narrow"):
        own = rows["layers"][layer]["float64"]["ours"]
        assert own["plain"] > 0
        assert own["tiny"]["statistics"] > 0
    assert tables.read_text().strip() == capsys.readouterr().out.strip()


def test_what_a_child_cannot_do_is_an_error() -> None:
    row = measure("python", "bench.grow.nothing", "small", "float32", 1, 60)
    assert "No module named bench.grow.nothing" in row["error"]
