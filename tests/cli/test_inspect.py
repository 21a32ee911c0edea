"""``inspect`` prints the graph, and writes it as data from which other tools can work."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import netsculpt as ns
import tests.architectures
from netsculpt.cli.axes_data import axes_data
from tests.architectures import in_float64, outputs
from tests.cli.conftest import Answer
from tests.repository import REPOSITORY


@pytest.mark.parametrize(
    "arguments", [["mine:with_tensor"], ["mine:with_dict"], ["mine:pair"], ["mine:instance", "--shape", "4x5"]]
)
def test_the_table_is_that_of_the_graph(arguments: list[str], netsculpt: Callable[..., Answer]) -> None:
    from tests.cli.factories import Network

    assert netsculpt("inspect", *arguments) == Answer(0, f"{ns.trace(Network(), torch.randn(4, 5))}\n", "")


def test_every_positional_input_takes_a_shape(netsculpt: Callable[..., Answer]) -> None:
    answer = netsculpt("inspect", "mine:TwoInputs", "--shape", "2x4", "--shape", "2x6")
    assert answer.code == 0
    assert "mine" in answer.out and "yours" in answer.out


def test_words_are_integers(netsculpt: Callable[..., Answer]) -> None:
    answer = netsculpt("inspect", "mine:words", "--shape", "2x3:int64")
    assert answer == netsculpt("inspect", "mine:words", "--shape", "2x3", "--dtype", "int64")
    assert answer.code == 0
    assert answer.out.splitlines()[1].startswith("table")


def entries(place: dict[str, Any], unit: int) -> list[int]:
    """As the data is documented, without this package's help."""
    found = [place["offset"] + unit * place["stride"]]
    for count, step in place["loops"]:
        found = [entry + k * step for entry in found for k in range(count)]
    return found


def permuted(state: dict[str, torch.Tensor], axis: dict[str, Any], order: list[int]) -> dict[str, torch.Tensor]:
    state = dict(state)
    for place in axis["places"]:
        old = state[place["tensor"]]
        new = old.clone()
        for unit, source in enumerate(order):
            at, origin = (torch.tensor(entries(place, each)) for each in (unit, source))
            new.index_copy_(place["dim"], at, old.index_select(place["dim"], origin))
        state[place["tensor"]] = new
    return state


@pytest.mark.parametrize("name", ["gpt2", "densenet", "lenet", "vit_multihead", "tied_language_model"])
def test_the_data_suffice_to_permute_units_and_leave_the_outputs_alone(
    name: str, netsculpt: Callable[..., Answer], folder: Path
) -> None:
    assert netsculpt("inspect", f"tests.architectures:{name}", "--json", "axes.json").code == 0
    data = json.loads(folder.joinpath("axes.json").read_text())
    model, inputs = getattr(tests.architectures, name)()
    model, inputs = model.double(), in_float64(inputs)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    with torch.no_grad():
        before = outputs(model, inputs)
        free = [axis for axis in data["axes"] if axis["frozen"] is None and axis["size"] > 1]
        assert len(free) > 1
        for axis in free:
            changed = permuted(state, axis, [*range(1, axis["size"]), 0])
            for first, names in data["tied"].items():
                changed.update(dict.fromkeys(names, changed[first]))
            assert any(not torch.equal(changed[key], state[key]) for key in state)
            model.load_state_dict(changed)
            torch.testing.assert_close(outputs(model, inputs), before, rtol=0, atol=1e-9)


def test_the_data_say_what_the_graph_says(netsculpt: Callable[..., Answer], folder: Path) -> None:
    assert netsculpt("inspect", "tests.architectures:siamese", "--json", "axes.json").code == 0
    data = json.loads(folder.joinpath("axes.json").read_text())
    graph = ns.trace(*tests.architectures.siamese())
    assert data == {"model": "tests.architectures:siamese", **axes_data(graph)}
    assert (data["parameters"], data["macs"]) == tuple(graph.cost())
    assert [axis["name"] for axis in data["axes"]] == [axis.name for axis in graph]
    assert {"frozen", "inexact"} <= {key for axis in data["axes"] for key, value in axis.items() if value is not None}
    for axis, said in zip(graph, data["axes"], strict=True):
        assert said["size"] == axis.size
        assert (said["frozen"], said["inexact"], said["uncopyable"]) == (axis.frozen, axis.inexact, axis.uncopyable)
        assert said["cost_per_unit"] is None if axis.frozen else said["cost_per_unit"]["params"] > 0
        assert {place["role"] for place in said["places"]} <= {"producer", "follower", "consumer"}


def test_the_data_say_which_operations_have_no_rule(netsculpt: Callable[..., Answer], folder: Path) -> None:
    folder.joinpath("gated.py").write_text(UNKNOWN)
    assert netsculpt("inspect", "gated:Gated", "--shape", "2x5", "--json", "axes.json").code == 0
    (unknown,) = json.loads(folder.joinpath("axes.json").read_text())["unknown"]
    assert "netsculpt_cli_tests::gate" in unknown


UNKNOWN = """
import torch
from torch import nn

@torch.library.custom_op("netsculpt_cli_tests::gate", mutates_args=())
def gate(x: torch.Tensor) -> torch.Tensor:
    return x.clone()

@gate.register_fake
def _(x):
    return torch.empty_like(x)

class Gated(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(5, 6), nn.Linear(6, 3))

    def forward(self, x):
        return self[1](gate(self[0](x)))
"""


def test_a_file_that_cannot_be_written_is_told(netsculpt: Callable[..., Answer]) -> None:
    answer = netsculpt("inspect", "mine:pair", "--json", "nowhere/axes.json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("netsculpt: --json must be a file that can be written, not nowhere/axes.json: ")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = [sys.executable, "-m", "netsculpt", "inspect", "netsculpt.demo.network:narrow_seed"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 141
