"""From ``package.module:function`` and shapes to a model and inputs."""

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from netsculpt.cli.arguments import Shape, shape
from netsculpt.cli.factory import load
from tests.cli.conftest import Answer
from tests.repository import REPOSITORY

PAIRS = ["with_tensor", "with_tuple", "with_dict", "pair"]
WITHOUT_INPUTS = ["alone", "instance", "Network"]


@pytest.mark.parametrize("name", PAIRS)
def test_a_pair_brings_its_inputs(name: str, folder: Path) -> None:
    subject = load(f"mine:{name}")
    inputs = subject.inputs
    tensor = inputs["x"] if name == "with_dict" else inputs[0] if name == "with_tuple" else inputs
    assert isinstance(subject.model, nn.Module)
    assert tensor.shape == (4, 5)


@pytest.mark.parametrize("name", [*WITHOUT_INPUTS, *PAIRS])
def test_shapes_make_inputs_or_replace_them(name: str, folder: Path) -> None:
    (tensor,) = load(f"mine:{name}", [Shape((2, 5))]).inputs
    assert tensor.shape == (2, 5)
    assert tensor.dtype is torch.float32
    assert len(tensor.unique()) == 10


def test_weights_and_inputs_follow_from_the_seed(folder: Path) -> None:
    def numbers(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        subject = load("mine:alone", [Shape((2, 5))], seed=seed)
        return subject.model.get_parameter("first.weight"), subject.inputs[0]

    for first, again, other in zip(numbers(0), numbers(0), numbers(1), strict=True):
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_the_random_numbers_of_the_process_are_left_alone(folder: Path) -> None:
    before = torch.get_rng_state()
    load("mine:alone", [Shape((2, 5))])
    assert torch.equal(torch.get_rng_state(), before)


def test_dtypes_are_the_stated_one_then_the_general_one_then_that_of_the_parameters(folder: Path) -> None:
    shapes = [Shape((2, 5), torch.int64), Shape((2, 5))]
    assert [x.dtype for x in load("mine:half", shapes).inputs] == [torch.int64, torch.bfloat16]
    assert [x.dtype for x in load("mine:half", shapes, torch.float16).inputs] == [torch.int64, torch.float16]


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_integers_are_rows_that_every_table_has(dtype: torch.dtype, folder: Path) -> None:
    (tensor,) = load("mine:words", [Shape((8, 8), dtype)]).inputs
    assert tensor.dtype is dtype
    assert sorted(tensor.long().unique().tolist()) == [0, 1]


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float64])
def test_numbers_may_be_complex_or_double(dtype: torch.dtype, folder: Path) -> None:
    (tensor,) = load("mine:alone", [Shape((3,), dtype)]).inputs
    assert tensor.dtype is dtype


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1x3x224x224", Shape((1, 3, 224, 224))), ("12", Shape((12,))), ("2x10:int64", Shape((2, 10), torch.int64))],
)
def test_shapes_are_read(text: str, expected: Shape) -> None:
    assert shape(text) == expected


@pytest.mark.parametrize("text", ["", "x", "2x", "0x3", "2,3", "-1x3", "2x3:int65", "2x3:", "2x3:nn", "2X3"])
def test_other_shapes_are_refused(
    text: str, netsculpt: Callable[..., Answer], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        netsculpt("inspect", "mine:alone", f"--shape={text}")
    assert stop.value.code == 2
    assert "argument --shape: must be " in capsys.readouterr().err


@pytest.mark.parametrize("command", ["inspect", "verify"])
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["mine"], "the model must be named as package.module:function, not 'mine'"),
        (["mine.py:alone:x"], "the model must be named as package.module:function, not 'mine.py:alone:x'"),
        (["folder/mine:alone"], "the model must be named as package.module:function, not 'folder/mine:alone'"),
        ([":alone"], "the model must be named as package.module:function, not ':alone'"),
        (["yours:alone"], "there is no module 'yours', installed or in {here}"),
        (["mine.deeper:alone"], "there is no module 'mine.deeper', installed or in {here}"),
        (["imports_yours:alone"], "'imports_yours' cannot be imported: ModuleNotFoundError: No module named 'yours'"),
        (["broken:alone"], "'broken' cannot be imported: ZeroDivisionError: division by zero"),
        (["stops:alone"], "'stops' cannot be imported: SystemExit: 0"),
        (["mine:alon"], "'mine' has no 'alon'; did you mean 'alone'?"),
        (["mine:zzzzzz"], "'mine' has no 'zzzzzz'"),
        (["mine:alone.deeper"], "'mine' has no 'alone.deeper'"),
        (["mine:number"], "mine:number must be a function that returns a model, not int"),
        (
            ["mine:needs_width"],
            "mine:needs_width must need no arguments, but it does: missing a required argument: 'width'",
        ),
        (["mine:raises"], "mine:raises() fails: ValueError: no such weights"),
        (
            ["mine:a_string"],
            "mine:a_string must return a torch.nn.Module, or a pair of one and its example inputs, not str",
        ),
        (
            ["mine:a_list"],
            "mine:a_list must return a torch.nn.Module, or a pair of one and its example inputs, not list of 3",
        ),
        (
            ["builtins:dict"],  # without a signature that could be checked beforehand
            "builtins:dict must return a torch.nn.Module, or a pair of one and its example inputs, not dict",
        ),
        (["mine:odd_inputs"], "the inputs that mine:odd_inputs returns must be a tensor, a tuple or a dict, not int"),
        (["mine:alone"], "mine:alone makes a model without inputs: state their shapes, such as --shape 2x3x224x224"),
        (
            ["mine:wrong_inputs"],
            "mine:wrong_inputs fails on its inputs (float32 [4, 9]): RuntimeError: "
            "mat1 and mat2 shapes cannot be multiplied (4x9 and 5x6)",
        ),
        (
            ["mine:TwoInputs", "--shape", "2x4"],
            "mine:TwoInputs fails on its inputs (float32 [2, 4]): "
            "TypeError: TwoInputs.forward() missing 1 required positional argument: 'y'",
        ),
    ],
)
def test_what_cannot_be_used_gets_one_sentence(
    command: str, arguments: list[str], sentence: str, netsculpt: Callable[..., Answer], folder: Path
) -> None:
    folder.joinpath("imports_yours.py").write_text("import yours")
    folder.joinpath("broken.py").write_text("1 / 0")
    folder.joinpath("stops.py").write_text("raise SystemExit(0)")
    answer = netsculpt(command, *arguments)
    assert answer == Answer(1, "", f"netsculpt: {sentence.format(here=folder)}\n")


def test_a_model_that_runs_but_cannot_be_traced_is_told_so(netsculpt: Callable[..., Answer]) -> None:
    answer = netsculpt("inspect", "mine:branches")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("netsculpt: Branches cannot be traced: ")
    assert answer.err.count("\n") == 1


def test_the_current_folder_is_searched_once(folder: Path) -> None:
    load("mine:pair")
    load("mine:pair")
    assert sys.path.count(str(folder)) == 1


def test_the_installed_command_finds_modules_in_the_current_folder(folder: Path) -> None:
    start = importlib.metadata.entry_points(group="console_scripts", name="netsculpt")
    assert [entry.value for entry in start] == ["netsculpt.cli:main"]
    folder.joinpath("bin").mkdir()
    script = folder / "bin" / "netsculpt"
    script.write_text("import sys\nfrom netsculpt.cli import main\nsys.exit(main())\n")
    done = subprocess.run(
        [sys.executable, script, "inspect", "mine:alone", "--shape", "2x5"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[:2] == ["first", "6"]
