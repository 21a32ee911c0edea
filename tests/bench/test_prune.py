"""The command on a tiny layer, its own ways to choose against the ops, the arithmetic of its tables."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.prune import others
from bench.prune.__main__ import main
from bench.prune.child import measure
from bench.prune.layer import LAYERS
from bench.prune.ours import MODES, arithmetic
from bench.prune.report import report
from netsculpt.ops import greedy_select


def found(**more: Any) -> dict[str, Any]:
    selections = {"least_squares": 1.0, "line_search": 0.5, "uniform": 0.25}
    own = {"measure": 3.0, "sums": 2.0, "flops": 40e9, "memory": 1 << 20, "select": selections, "curve": selections}
    own |= {"refit": 2.0, "order": [3, 1, 2, 0]}
    plain = {"measure": 6.0, "memory": 2 << 20, "order": [3, 1, 0, 2]}
    plain["select"] = {mode: 10 * seconds for mode, seconds in selections.items()}
    return {
        "machine": {"CPU": "some"},
        "layer": "wide",
        "repeats": 3,
        "rates": {"float32": 80e9, "float64": 40e9},
        "local": own,
        "plain": plain,
        "published": {"forward": 0.1, "candidates": 50, "done": 20, "total": 1280.0, "memory": 0},
        "global": {"step": 2.0, "steps": 32, "candidates": 16, "memory": 0},
        "peer": {"missing": "Not compared."},
    } | more


@pytest.mark.parametrize("mode", MODES)
def test_loops_choose_as_the_ops_do(mode: str) -> None:
    contributions = torch.randn(40, 60, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.2
    gram = contributions @ contributions.T
    loop = {"least_squares": others.least_squares, "line_search": others.line_search, "uniform": others.uniform}[mode]
    assert loop(gram, 25) == greedy_select(gram, 25, mode=mode).order.tolist()  # type: ignore[arg-type]


@pytest.mark.slow
def test_measures_a_tiny_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers, tables = tmp_path / "prune.json", tmp_path / "prune.md"
    given = ["--layer", "tiny", "--repeats", "1", "--peer-python", str(tmp_path / "none")]
    main([*given, "--json", str(numbers), "--markdown", str(tables)])
    rows, text = json.loads(numbers.read_text()), tables.read_text()
    assert rows["local"]["order"] == rows["plain"]["order"]
    assert 0 < rows["local"]["sums"] <= rows["local"]["measure"]
    assert rows["published"]["total"] == pytest.approx(50 * 16 * rows["published"]["forward"])
    assert "Of 16 choices by least squares, 16 are the same" in text
    assert "- Not compared with torch-pruning: none does not have it;" in text and "No time" not in text
    assert text.strip() == capsys.readouterr().out.strip()


def test_a_child_that_fails_is_an_answer() -> None:
    assert "invalid choice" in measure(sys.executable, "others", "nothing", "tiny", 1, 60)["error"]
    assert measure(sys.executable, "others", "rates", "tiny", 1, 0.01) == {"error": "no answer in 0.01 s"}


def test_arithmetic_of_the_sums() -> None:
    """13 of the 25 shifts of 3 × 3, and 45 of its 81 pairs of places."""
    assert arithmetic(LAYERS["tiny"]) == 2 * 32**2 * (13 * 4 * 36 + 45 * 32)
    assert arithmetic(LAYERS["wide"]) == 2 * 512**2 * (13 * 8192 + 45 * 512)


def test_the_report_divides() -> None:
    text = report(found())
    assert "| netsculpt, local, least squares | 3 s | 1 s | 4 s |  | 1 MiB |" in text
    assert "| plain torch, the same choice | 6 s | 10 s | 16 s | 4× | 2 MiB |" in text
    assert "| published procedure |  | 256 × 50 × 100 ms | 1280 s, extrapolated | 320× | 0 MiB |" in text
    assert "| netsculpt, global |  | 32 × 2 s | 64 s, extrapolated | 16× | 0 MiB |" in text
    assert "20.0 GFLOP/s, 50 % of the 40.0 GFLOP/s" in text and "Of 4 choices by least squares, 2 are" in text
    assert "| line search | 500 ms | 5 s | 10× | 500 ms |" in text


def test_the_report_says_what_failed() -> None:
    failed = {"error": "no answer in 1 s"}
    row = {"total": 8.0, "measure": 7.0, "select": 1.0, "memory": 0}
    text = report(found(plain=failed, peer={"version": "1", "torch": "2", "taylor": row, "hessian": failed}))
    assert "| torch-pruning, GroupTaylorImportance | 7 s | 1 s | 8 s | 2× | 0 MiB |" in text
    assert text.endswith("## No time\n\n- plain: no answer in 1 s\n- torch-pruning, hessian: no answer in 1 s\n")
    assert "netsculpt's own, see below" in report(found(local=failed))
