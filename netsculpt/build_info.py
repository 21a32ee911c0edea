"""What this installation is and what it runs with."""

import json
from pathlib import Path
from typing import Any

import torch

import netsculpt
from netsculpt import _library


def build_info() -> dict[str, Any]:
    """What netsculpt was built with and what it runs with, for bug reports and benchmark headers.

    Returns:
        ``version``; ``cpu_library`` and ``cuda_library`` ("loaded", "not built", or why not loaded);
        ``torch_built`` and ``torch_running``; ``cuda_built`` (toolkit version) and ``cuda_running`` (torch's);
        ``architectures`` of the CUDA kernels; ``simd`` in use (baseline, avx2, avx512, or "none" for the
        reference); ``threads`` of torch.
    """
    file = Path(__file__).with_name("_build_info.json")
    built = json.loads(file.read_text()) if file.exists() else {}
    return {
        "version": netsculpt.__version__,
        "cpu_library": _library.cpu_missing or "loaded",
        "cuda_library": _cuda_state(built),
        "torch_built": built.get("torch"),
        "torch_running": torch.__version__,
        "cuda_built": built.get("cuda"),
        "cuda_running": torch.version.cuda,
        "architectures": built.get("architectures"),
        "simd": _simd(),
        "threads": torch.get_num_threads(),
    }


def _cuda_state(built: dict[str, Any]) -> str:
    if torch.version.cuda is None:
        return "built, not loaded: this torch has no CUDA" if built.get("cuda") else "not built"
    return _library.cuda_missing or "loaded"


def _simd() -> str:
    if _library.cpu_missing:
        return "none"
    from netsculpt import _C

    level: str = _C.simd_level()
    return level
