"""Load the compiled ops, or let the reference implementations answer where they cannot be loaded.

Either way the ops are ``torch.ops.netsculpt.*`` with the same schemas, so nothing above this file knows which.
"""

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from netsculpt import reference

_FALLBACK_WARNING = (
    "netsculpt: the compiled {what} could not be loaded ({reason}); "
    "the plain-torch reference answers instead: same results, much slower"
)
_keep_alive: list[torch.library.Library] = []  # a registration lives as long as its Library object


def _overloads() -> dict[str, Callable[..., object]]:
    """Op name with overload -> its reference implementation."""
    return {name.replace("__", "."): fn for name, fn in vars(reference).items() if name in reference.__all__}


def _schema(fn: Callable[..., object]) -> str:
    mutated = ("out",) if "out" in fn.__annotations__ else ()
    inferred = torch.library.infer_schema(fn, mutates_args=mutated)
    # It makes every int symbolic and numbers aliases by argument; the compiled schemas are plain and have one at most.
    return re.sub(r"\(a\d+!\)", "(a!)", inferred.replace("SymInt", "int"))


def _implement_with_reference(keys: tuple[str, ...], define: bool) -> None:
    library = torch.library.Library("netsculpt", "DEF" if define else "IMPL")
    _keep_alive.append(library)
    for name, fn in _overloads().items():
        if define:
            library.define(name + _schema(fn))
        for key in keys:
            library.impl(name, fn, key)


def _load_cpu() -> str | None:
    """Why the CPU library is missing; None once it is loaded."""
    try:
        from netsculpt import _C  # noqa: F401  (importing it registers the ops)
    except ImportError as error:
        return str(error).splitlines()[0]
    return None


def _load_cuda() -> str | None:
    """Why the CUDA library is missing on a torch that has CUDA; None where it is loaded or not needed."""
    if torch.version.cuda is None:
        return None
    found = sorted(Path(__file__).parent.glob("_C_cuda*.so"))
    if not found:
        return "it was not built: reinstall netsculpt with nvcc on PATH"
    try:
        torch.ops.load_library(str(found[0]))
    except OSError as error:  # torch names the file only; the loader's own words are the cause
        return str(error.__cause__ or error).splitlines()[0]
    return None


cpu_missing = _load_cpu()
cuda_missing = "the CPU library is missing" if cpu_missing else _load_cuda()

if cpu_missing:
    warnings.warn(_FALLBACK_WARNING.format(what="library", reason=cpu_missing), RuntimeWarning, stacklevel=2)
    _implement_with_reference(("CPU", "CUDA"), define=True)
elif cuda_missing:
    # Silent without a GPU: a machine that cannot run CUDA code loses nothing.
    if torch.cuda.is_available():
        warnings.warn(_FALLBACK_WARNING.format(what="CUDA library", reason=cuda_missing), RuntimeWarning, stacklevel=2)
    _implement_with_reference(("CUDA",), define=False)
