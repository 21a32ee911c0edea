"""A build that cannot be done says so in one sentence, also in the frame that pip puts around it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import REPOSITORY


def refusal(**environment: str) -> list[str]:
    """What setup.py says, line by line, before it gives up."""
    command = [sys.executable, "setup.py", "--version"]
    done = subprocess.run(command, cwd=REPOSITORY, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode != 0, done.stdout
    return done.stderr.splitlines()


@pytest.fixture
def no_torch(tmp_path: Path) -> str:
    """A search path on which torch cannot be imported, as in pip's isolated build."""
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    return str(tmp_path)


def test_cuda_wanted_without_nvcc(tmp_path: Path) -> None:
    found = refusal(NETSCULPT_CUDA="1", PATH=str(tmp_path), CUDA_HOME="", CUDA_PATH="")
    assert found == ["NETSCULPT_CUDA=1, but nvcc was not found: put it on PATH or set CUDA_HOME"]


def test_unknown_choice() -> None:
    assert refusal(NETSCULPT_CUDA="yes") == ["NETSCULPT_CUDA must be auto, 0 or 1, not 'yes'"]


def test_no_torch(no_torch: str) -> None:
    (sentence,) = refusal(PYTHONPATH=no_torch)
    assert "run 'pip install --no-build-isolation .'" in sentence


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
