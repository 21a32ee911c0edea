"""The source distribution has all that a build needs, and none of what a build leaves."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import run_build
from tests.repository import REPOSITORY


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = run_build("sdist", tmp_path_factory.mktemp("sdist"))
    folder = tmp_path_factory.mktemp("sources")
    shutil.unpack_archive(archive, folder)
    (top,) = folder.iterdir()
    return top


def test_contents(sources: Path) -> None:
    for folder in ("csrc", "tools", "netsculpt", "tests", "bench"):
        for path in (REPOSITORY / folder).rglob("*"):
            if path.suffix in (".h", ".cuh", ".cpp", ".cu", ".py"):
                assert (sources / path.relative_to(REPOSITORY)).exists(), path
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile"):
        assert (sources / name).exists(), name
    assert not [path for path in sources.rglob("*") if path.suffix in (".so", ".o", ".pyc")]
    assert not (sources / "build").exists()


@pytest.mark.slow
def test_installs(sources: Path, tmp_path: Path) -> None:
    """``pip install --no-build-isolation .``, from nothing but the sources, for the CPU alone."""
    pip = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index"]
    environment = os.environ | {"NETSCULPT_CUDA": "0"}
    command = [*pip, "--target", str(tmp_path), str(sources)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in (tmp_path / "netsculpt").glob("*.so")] == ["_C.abi3.so"]
