"""Every kernel body on teams of 1, 2, 7 and 32 threads under ThreadSanitizer: `make tsan` runs this file."""

import platform
import subprocess
from pathlib import Path

import pytest

from tests.csrc.build import HERE, tsan_program

CANNOT_START = "unexpected memory mapping"


def run_program(program: Path) -> subprocess.CompletedProcess[str]:
    """Kernels that randomise addresses widely leave older ThreadSanitizers no room: then once more without that."""
    done = subprocess.run([program], capture_output=True, text=True)
    if CANNOT_START not in done.stderr:
        return done
    try:
        return subprocess.run(["setarch", platform.machine(), "-R", program], capture_output=True, text=True)
    except FileNotFoundError:
        return done


@pytest.mark.parametrize("source", sorted(HERE.glob("*.cpp")), ids=lambda path: path.stem)
def test_no_race_and_one_answer(source: Path) -> None:
    done = run_program(tsan_program(source.stem))
    if CANNOT_START in done.stderr or "failed to set personality" in done.stderr:
        pytest.skip("ThreadSanitizer cannot start here: addresses are randomised too widely, and setarch -R is refused")
    assert done.returncode == 0, done.stdout + done.stderr
