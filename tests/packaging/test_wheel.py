"""The wheel: one for every Python from 3.10 and every torch from 2.10, and nothing in it that is not needed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.repository import run_python

IMPORT = """
import json, warnings
warnings.simplefilter("error")
import netsculpt, torch
gram = netsculpt.ops.coupled_gram(torch.eye(4), torch.ones(4, 4), 2)
print(json.dumps({"file": netsculpt.__file__, "info": netsculpt.build_info(), "gram": gram.tolist()}))
"""


def libraries(unpacked: Path) -> list[Path]:
    return sorted(unpacked.glob("netsculpt/*.so"))


def test_tag(wheel: Path) -> None:
    assert "-cp310-abi3-" in wheel.name


def test_only_the_stable_python_abi(wheel: Path) -> None:
    pytest.importorskip("abi3audit")
    done = subprocess.run([sys.executable, "-m", "abi3audit", "--strict", wheel], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_contents(unpacked: Path) -> None:
    built = json.loads((unpacked / "netsculpt/_build_info.json").read_text())
    names = [path.name for path in libraries(unpacked)]
    assert names == ["_C.abi3.so"] + (["_C_cuda.abi3.so"] if built["cuda"] else [])
    assert (unpacked / "netsculpt/py.typed").exists()
    assert (unpacked / "netsculpt/_C.pyi").exists()
    (metadata,) = unpacked.glob("*.dist-info")
    assert (metadata / "licenses/LICENSE").exists()
    assert {path.name for path in unpacked.iterdir()} == {"netsculpt", metadata.name}
    assert not [path for path in unpacked.rglob("*") if path.suffix in (".cpp", ".cu", ".h", ".o")]


def test_needs_no_library_of_one_python_or_one_cuda(unpacked: Path) -> None:
    """What a library names must be there wherever it is loaded: torch's stable part is, versions of CUDA are not."""
    if shutil.which("readelf") is None:
        pytest.skip("readelf (binutils) is not on PATH")
    for library in libraries(unpacked):
        text = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
        needed = [line for line in text.splitlines() if "(NEEDED)" in line]
        assert needed
        for unwanted in ("libtorch_python", "libcudart", "libcublas", "libpython"):
            assert not [line for line in needed if unwanted in line], library.name


def test_works_without_a_compiler(unpacked: Path) -> None:
    """Straight from the unpacked wheel, before any other netsculpt, with nothing on PATH, and without a warning."""
    environment = os.environ | {"PYTHONPATH": str(unpacked), "PATH": str(unpacked)}
    found = json.loads(run_python(IMPORT, env=environment, cwd=unpacked))
    assert Path(found["file"]).is_relative_to(unpacked)
    assert found["info"]["cpu_library"] == "loaded"
    assert found["gram"] == [[2.0, 0.0], [0.0, 2.0]]
