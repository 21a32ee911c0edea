"""Find a CUDA toolkit, or fetch one as Python wheels: for setup.py and `make nvcc`. Needs neither torch nor a GPU."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NVCC_FLAGS = ["-O3", "-std=c++20"]
# One CUDA version throughout; 13.0 is what torch's own wheels are built with from 2.11 on.
WHEELS = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-runtime==13.0.96",
    "nvidia-cuda-cccl==13.0.85",
]


def find() -> Path | None:
    """The toolkit that CUDA_HOME, CUDA_PATH or an nvcc on PATH names, in this order; None where there is none."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    if home:
        return Path(home).resolve() if Path(home, "bin/nvcc").exists() else None
    nvcc = shutil.which("nvcc")
    return _home_of(nvcc) if nvcc else None


def _home_of(nvcc: str) -> Path:
    """The toolkit behind an nvcc on PATH, which may be a wrapper script: nvcc itself knows its home."""
    dry_run = subprocess.run([nvcc, "--dryrun", "-x", "cu", "-c", os.devnull], capture_output=True, text=True)
    for line in dry_run.stderr.splitlines():
        if line.startswith("#$ TOP="):
            return Path(line.removeprefix("#$ TOP=")).resolve()
    return Path(nvcc).resolve().parent.parent


def fetch(folder: Path) -> Path:
    """A toolkit from wheels, unpacked under ``folder`` unless it is there already."""
    home = folder / "nvidia/cu13"
    stamp = folder / "complete"  # an interrupted download must not be taken for a toolkit
    if not stamp.exists():
        pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--upgrade", "--target", str(folder)]
        subprocess.run([*pip, *WHEELS], check=True)
        stamp.touch()
    return home


def version(home: Path) -> str:
    """The toolkit's version as nvcc states it, for instance 13.0."""
    text = subprocess.run([home / "bin/nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    return text.split("release ")[1].split(",")[0]


def mismatch(home: Path, torch_cuda: str | None) -> str | None:
    """Why this toolkit cannot serve a torch built with CUDA ``torch_cuda`` (None: without); None where it can."""
    ours = version(home)
    if torch_cuda is None or ours.split(".")[0] == torch_cuda.split(".")[0]:
        return None
    return f"nvcc is CUDA {ours} and torch was built with CUDA {torch_cuda}: their major versions must agree"


def include_dirs(home: Path) -> list[str]:
    return [str(path) for path in (home / "include", home / "include/cccl") if path.exists()]


def library_dirs(home: Path) -> list[str]:
    """A full toolkit has lib64, one from wheels has lib."""
    return [str(path) for path in (home / "lib64", home / "lib") if path.exists()]
