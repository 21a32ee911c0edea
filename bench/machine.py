"""What a table of times must say about where it comes from."""

import datetime
import platform
import subprocess
from pathlib import Path

import torch

import netsculpt


def describe(device: str, threads: int) -> dict[str, str]:
    """Date, commit, processor or GPU, versions, threads and SIMD level, ready to print."""
    info = netsculpt.build_info()
    found = {
        "date": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        "commit": commit(),
        "CPU": cpu_model(),
        "threads": str(threads),
        "SIMD": info["simd"],
        "torch": torch.__version__,
    }
    if device == "cuda":
        major, minor = torch.cuda.get_device_capability()
        found["GPU"] = f"{torch.cuda.get_device_name()} (sm_{major}{minor})"
        found["CUDA"] = f"built {info['cuda_built']}, torch {info['cuda_running']}"
    return found


def commit() -> str:
    """The commit that ran; "-dirty" where the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def cpu_model() -> str:
    file = Path("/proc/cpuinfo")
    if file.exists():
        for line in file.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
