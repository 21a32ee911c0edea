"""A build that cannot be done says so in one sentence, also in the frame that pip puts around it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import REPOSITORY


def refusal(**environment: str) -> str:
    """What setup.py says last before it gives up; a CUDA build of torch has already remarked that it sees no GPU."""
    command = [sys.executable, "setup.py", "--version"]
    done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode != 0, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


@pytest.fixture
def no_torch(tmp_path: Path) -> str:
    """A search path on which torch cannot be imported, as in pip's isolated build."""
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    return str(tmp_path)


def test_cuda_wanted_without_nvcc(tmp_path: Path) -> None:
    found = refusal(NETSCULPT_CUDA="1", PATH=str(tmp_path), CUDA_HOME="", CUDA_PATH="")
    assert found == "NETSCULPT_CUDA=1, but nvcc was not found: put it on PATH or set CUDA_HOME"


def test_unknown_choice() -> None:
    assert refusal(NETSCULPT_CUDA="yes") == "NETSCULPT_CUDA must be auto, 0 or 1, not 'yes'"


def test_no_torch(no_torch: str) -> None:
    assert refusal(PYTHONPATH=no_torch).endswith("then run 'pip install --no-build-isolation .'")


def test_pip_shows_the_sentence_without_a_traceback(no_torch: str, tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index"]
    command = [*pip, "--target", str(tmp_path / "target"), str(REPOSITORY)]
    environment = os.environ | {"PYTHONPATH": no_torch}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    shown = done.stdout + done.stderr
    assert done.returncode != 0
    assert "pip install --no-build-isolation ." in shown
    assert "Traceback" not in shown
    assert len(shown.splitlines()) < 30
