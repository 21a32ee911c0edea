"""The house rules that no linter knows: who may include what, and one op, one name, everywhere."""

import re
from pathlib import Path

import pytest
import torch

import netsculpt
from netsculpt import reference
from tests.repository import OPS, REPOSITORY, SCHEMAS

CSRC = REPOSITORY / "csrc"
# Not csrc/kernels/{op}_cpu.cpp: two ops may share what runs on the CPU.
FILES = [
    "csrc/kernels/{op}.h",
    "csrc/kernels/{op}_cuda.h",
    "csrc/kernels/{op}_cuda.cu",
    "csrc/bindings/{op}.h",
    "csrc/bindings/{op}_cpu.cpp",
    "csrc/bindings/{op}_cuda.cpp",
    "netsculpt/reference/{op}.py",
    "netsculpt/ops/{op}.py",
    "tests/ops/test_{op}.py",
    "tests/csrc/{op}.cpp",
    "tests/csrc/test_{op}_body.py",
    "bench/bench_{op}.py",
]


def lines_with(pattern: str, folder: Path) -> list[str]:
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(pattern, line):
                found.append(f"{path.relative_to(REPOSITORY)}:{number}: {line.strip()}")
    return found


def test_kernels_include_nothing_of_torch() -> None:
    assert not lines_with(r"#\s*include\s*[<\"](torch|ATen|c10|pybind11|Python)", CSRC / "kernels")


def test_bindings_launch_no_kernel() -> None:
    assert not lines_with("<<<", CSRC / "bindings")


def test_bindings_use_the_stable_abi_only() -> None:
    allowed = r"(stable/|headeronly/|inductor/aoti_torch/c/shim\.h)"
    includes = lines_with(r"#\s*include\s*[<\"](torch|ATen|c10)", CSRC / "bindings")
    assert not [line for line in includes if not re.search(r"<torch/(csrc/)?" + allowed, line)]


@pytest.mark.parametrize("op", OPS)
def test_one_op_has_one_name_everywhere(op: str) -> None:
    missing = [path for path in (file.format(op=op) for file in FILES) if not (REPOSITORY / path).exists()]
    assert not missing, f"{op} lacks {', '.join(missing)}"


def test_every_op_has_a_reference_and_a_wrapper() -> None:
    assert sorted(name.replace("__", ".") for name in reference.__all__) == sorted(SCHEMAS)
    assert [op for op in OPS if op not in netsculpt.ops.__all__] == []


def test_the_library_defines_the_schemas_that_are_written_down() -> None:
    registered = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("netsculpt::")]
    assert sorted(name.removeprefix("netsculpt::") for name in registered) == sorted(SCHEMAS)
