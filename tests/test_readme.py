"""What the README says is true: its Python runs, its commands exist, and its table has every op."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import OPS, REPOSITORY, run_python

README = (REPOSITORY / "README.md").read_text()
CONTRIBUTING = (REPOSITORY / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
GUIDES = {page.name: page.read_text() for page in sorted((REPOSITORY / "docs").glob("*.md"))}
EXAMPLES = [
    (name, number, block)
    for name, text in GUIDES.items()
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
]
COMMANDS = re.findall(r"```console\n\$ python (.*?)\n(.*?)```", README, re.DOTALL)
NUMBER = re.compile(r"\d\.\de[-+]\d\d")  # a rounding error: of another size on another machine
PAGES = ["README.md", "CONTRIBUTING.md", "bench/results/README.md", *(f"docs/{name}" for name in GUIDES)]


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_python_runs(number: int, tmp_path: Path) -> None:
    run_python(BLOCKS[number], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})


@pytest.mark.parametrize(
    "block", [block for *_, block in EXAMPLES], ids=[f"{name}-{number}" for name, number, _ in EXAMPLES]
)
def test_examples_of_the_guides_run(block: str, tmp_path: Path) -> None:
    run_python(block, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})


@pytest.mark.parametrize(("arguments", "shown"), COMMANDS, ids=[arguments for arguments, _ in COMMANDS])
def test_commands_print_what_is_shown(arguments: str, shown: str) -> None:
    done = subprocess.run([sys.executable, *arguments.split()], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert NUMBER.sub("#", done.stdout) == NUMBER.sub("#", shown)


@pytest.mark.parametrize(
    ("block", "operation"),
    [
        (next(block for block in BLOCKS if "graph.rule(" in block), "gate(x, y)"),
        (re.findall(r"```python\n(.*?)```", CONTRIBUTING, re.DOTALL)[0], "torch.cdist(x, y)"),
    ],
    ids=["README", "CONTRIBUTING"],
)
def test_rules_that_are_shown_are_right(block: str, operation: str) -> None:
    run_python(f"{block}\n{USE.format(operation=operation)}")


USE = """
import torch
import netsculpt as ns

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = (torch.nn.Linear(5, 5) for _ in range(3))

    def forward(self, x, y):
        x, y = self.first(x), self.second(y)
        return self.last({operation})

model = Model()
graph = ns.trace(model, (torch.randn(2, 5, 5), torch.randn(2, 5, 5)))
assert graph.unknown == ()
(axis,) = graph.sculptable
assert [place.tensor for place in axis.producers] == ["first.weight", "second.weight"], axis
assert all(proof.holds for proof in graph.verify(model))
"""


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
