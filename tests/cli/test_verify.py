"""``verify`` believes what holds, and names what does not, with the exit code to match."""

import re
from collections.abc import Callable

import pytest

from tests.cli.conftest import Answer

NUMBER = r"\d\.\de[-+]\d\d"


def test_a_right_graph_holds_axis_by_axis(netsculpt: Callable[..., Answer]) -> None:
    answer = netsculpt("verify", "tests.architectures:gpt2")
    header, *lines, empty, last = answer.out.splitlines()
    assert (answer.code, answer.err, empty) == (0, "", "")
    assert header.split() == ["axis", "units", "permuted", "removed"]
    assert len(lines) == 7
    assert all(re.fullmatch(rf"\S+ +\d+ +{NUMBER} +(-|{NUMBER})  ok", line) for line in lines)
    assert lines[0].split()[3] == "-", "a layer norm mixes the residual width"
    assert last == "7 of 7 axes hold, outputs within 1e-09 of the largest one; 1 more cannot change"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("positions", "permuting its units changes the outputs"),
        ("norm", "removing units is not the same as silencing them"),
        ("complains", "RuntimeError: the first unit is another one"),
    ],
)
def test_a_wrong_graph_fails_with_the_reason(name: str, reason: str, netsculpt: Callable[..., Answer]) -> None:
    answer = netsculpt("verify", f"mine:{name}")
    _, line, _, last = answer.out.splitlines()
    assert answer.code == 1
    assert line.startswith("first      6  ")
    assert f"  FAILED: {reason}" in line
    assert last.startswith("0 of 1 axes hold")


def test_the_seed_is_that_of_the_permutations(netsculpt: Callable[..., Answer]) -> None:
    def line(seed: int) -> str:
        return netsculpt("verify", "mine:positions", "--seed", str(seed)).out

    assert line(0) == line(0)
    assert line(0) != line(1)


def test_shapes_make_the_inputs(netsculpt: Callable[..., Answer]) -> None:
    answer = netsculpt("verify", "mine:words", "--shape", "2x3:int64")
    assert answer.code == 0
    assert answer.out.splitlines()[-1].startswith("2 of 2 axes hold")


def test_nothing_to_verify_is_no_success(netsculpt: Callable[..., Answer]) -> None:
    answer = netsculpt("verify", "mine:nothing_can_change")
    sentence = "no axis of mine:nothing_can_change can change, so there is nothing to verify; inspect says why"
    assert answer == Answer(1, "", f"netsculpt: {sentence}\n")


def test_a_model_for_half_precision_only_is_told_so(netsculpt: Callable[..., Answer]) -> None:
    answer = netsculpt("verify", "mine:half", "--shape", "2x5")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("netsculpt: a copy of the model in float64 does not run: RuntimeError: ")
    assert answer.err.count("\n") == 1
