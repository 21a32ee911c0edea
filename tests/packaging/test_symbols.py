"""Code compiled for AVX-512 must not reach a processor without it, not even through the linker.

An inline function that several objects define is kept once, whichever comes first. A copy from an object compiled for
AVX-512 would then run everywhere, so those objects may define symbols of their own namespace only.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from tests.repository import REPOSITORY

OBJECTS = sorted((REPOSITORY / f"build/objects-torch-{torch.__version__}").rglob("targets/*_avx*.o"))


def leaks(object_file: Path, target: str) -> list[str]:
    """Symbols that another object could define too and that no type or function of the target is part of."""
    command = ["nm", "-C", "--defined-only", "--extern-only", "--format=posix", str(object_file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line for line in text.splitlines() if f"netsculpt::{target}::" not in line]


@pytest.mark.skipif(not OBJECTS, reason="no objects here: the library was not built in this tree, or not for x86-64")
@pytest.mark.skipif(shutil.which("nm") is None, reason="nm (binutils) is not on PATH")
@pytest.mark.parametrize("object_file", OBJECTS, ids=lambda path: path.stem)
def test_target_objects_define_nothing_shared(object_file: Path) -> None:
    assert leaks(object_file, object_file.stem.rsplit("_", 1)[1]) == []
