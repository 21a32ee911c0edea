"""Every kernel body on teams of 1, 2, 7 and 32 threads under ThreadSanitizer: `make tsan` runs this file."""

import subprocess
from pathlib import Path

import pytest

from tests.csrc.build import HERE, tsan_program


@pytest.mark.parametrize("source", sorted(HERE.glob("*.cpp")), ids=lambda path: path.stem)
def test_no_race_and_one_answer(source: Path) -> None:
    done = subprocess.run([tsan_program(source.stem)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
