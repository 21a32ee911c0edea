"""What the README says is true: its Python runs, its commands exist, and its table has every op."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.repository import OPS, REPOSITORY, run_python

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PAGES = ["README.md", "CONTRIBUTING.md", "bench/results/README.md"]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_runs(number: int, tmp_path: Path) -> None:
    run_python(BLOCKS[number], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})


def test_every_op_is_in_the_table() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE)) == OPS


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    shown = subprocess.run(["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    targets = re.findall(r"^ +make (\w+)", shown, re.MULTILINE)
    named = re.findall(
        r"^make (?:\S+=\S+ )?(\w+)|`make (?:\S+=\S+ )?(\w+)", (REPOSITORY / page).read_text(), re.MULTILINE
    )
    assert {a or b for a, b in named} <= set(targets)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", (REPOSITORY / page).read_text()):
        if "://" not in link:
            assert (REPOSITORY / page).parent.joinpath(link).exists(), link
