"""What `make nvcc` reads out of ptxas, on a report as nvcc 13.0 prints it."""

import pytest

from tools import cuda_toolkit
from tools.nvcc_check import Usage, parse, shorten, table

REPORT = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z5firstv' for 'sm_80'
ptxas info    : Function properties for _Z5firstv
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 1024 bytes smem, 400 bytes cmem[0]
ptxas info    : Compile time = 12.3 ms
ptxas info    : Compiling entry function '_Z6secondv' for 'sm_90'
ptxas info    : Function properties for _Z6secondv
    16 bytes stack frame, 12 bytes spill stores, 20 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers
"""
FIRST = Usage("_Z5firstv", "80", registers=32, shared=1024, stack=0, spilled=0)
SECOND = Usage("_Z6secondv", "90", registers=255, shared=0, stack=16, spilled=32)


def test_reads_every_kernel() -> None:
    assert parse(REPORT) == [FIRST, SECOND]


def test_does_not_guess() -> None:
    with pytest.raises(SystemExit, match="does not understand"):
        parse("Compiling entry function 'a' for 'sm_80'\nUsed many registers")


def test_table_has_a_line_per_kernel() -> None:
    lines = table([SECOND, FIRST]).splitlines()
    assert len(lines) == 3
    assert lines[1].split() == ["first", "sm_80", "32", "1024", "0", "0"]
    assert lines[2].split() == ["second", "sm_90", "255", "0", "16", "32"]


def test_names_without_what_all_share() -> None:
    name = "void netsculpt::(anonymous namespace)::sum_kernel<float, 4>(netsculpt::Args)"
    assert shorten(name) == "sum_kernel<float, 4>"


def test_cuda_home_without_nvcc_is_no_toolkit(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    assert cuda_toolkit.find() is None
