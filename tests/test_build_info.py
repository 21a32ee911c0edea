"""build_info says what was built, what runs, and which SIMD target the processor and ATEN_CPU_CAPABILITY give."""

import json
import os
import subprocess
import sys

import pytest
import torch

import netsculpt
from tests.repository import REPOSITORY, run_python

LEVELS = ["baseline", "avx2", "avx512"]
# Prints the level in use and a result of a compiled op at that level.
SCRIPT = """
import json, torch, netsculpt
m = torch.arange(21 * 21, dtype=torch.float64).view(21, 21).sin()
cov = (m + m.mT).float()
gram = netsculpt.ops.coupled_gram(cov, cov.flip(0, 1), 3)
print(json.dumps([netsculpt.build_info()["simd"], gram.double().tolist()]))
"""


def test_says_what_runs() -> None:
    info = netsculpt.build_info()
    assert info["version"] == netsculpt.__version__
    assert info["torch_running"] == torch.__version__
    assert info["cuda_running"] == torch.version.cuda
    assert info["threads"] == torch.get_num_threads()
    assert info["simd"] in (*LEVELS, "none")


def test_says_what_was_built() -> None:
    info = netsculpt.build_info()
    if info["cpu_library"] != "loaded":
        pytest.skip(f"no compiled library: {info['cpu_library']}")
    assert info["torch_built"]
    built_cuda = any((REPOSITORY / "netsculpt").glob("_C_cuda*.so"))
    assert (info["cuda_built"] is not None) == (info["architectures"] is not None) == built_cuda


def at_level(capability: str | None) -> tuple[str, torch.Tensor]:
    environment = {k: v for k, v in os.environ.items() if k != "ATEN_CPU_CAPABILITY"}
    if capability is not None:
        environment["ATEN_CPU_CAPABILITY"] = capability
    simd, gram = json.loads(run_python(SCRIPT, env=environment))
    return simd, torch.tensor(gram)


@pytest.mark.parametrize("capability", ["default", "avx2", "avx512"])
def test_torchs_own_variable_lowers_the_level(capability: str) -> None:
    best, expected = at_level(None)
    if best == "none":
        pytest.skip("no compiled library: the reference has no levels")
    simd, gram = at_level(capability)
    wanted = {"default": "baseline"}.get(capability, capability)
    assert LEVELS.index(simd) == min(LEVELS.index(wanted), LEVELS.index(best))
    torch.testing.assert_close(gram, expected)


@pytest.mark.slow
@pytest.mark.parametrize("capability", ["default", "avx2"])
def test_every_op_is_right_at_every_level(capability: str) -> None:
    """The op tests once more on the code for older processors; what torch.compile sees does not depend on it."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "tests/ops", "-k", "not Conformance"]
    environment = os.environ | {"ATEN_CPU_CAPABILITY": capability}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
