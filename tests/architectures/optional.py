"""Packages that some architectures come from and that need not be there."""

import importlib.util

import torch


def missing(package: str) -> str | None:
    """Why there is nothing of this package, in one sentence, or None where it is installed."""
    if importlib.util.find_spec(package) is None:
        return f"{package} is not installed: pip install {package}"
    return None


_operators: list[torch.library.Library] = []  # a library's definitions live as long as it does


def import_torchvision() -> None:
    """Make ``import torchvision`` work, also where its compiled library is for CUDA and torch is for the CPU.

    The models need none of its operators, but importing it fails for want of two of their names; and transformers
    imports torchvision wherever it finds it.
    """
    try:
        import torchvision
    except RuntimeError:
        if not _operators:
            _operators.append(torch.library.Library("torchvision", "FRAGMENT"))
            for name in ("nms", "qnms"):
                _operators[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision  # noqa: F401
