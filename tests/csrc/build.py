"""Compile a kernel body's test source, as a Python module over NumPy arrays or as a ThreadSanitizer program."""

import importlib.util
import shutil
import subprocess
import sysconfig
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
OUT = HERE.parent.parent / "build" / "tests"
# std::barrier needs C++20; -O1 keeps line numbers in a race report.
FLAGS = ["-std=c++20", "-O1", "-g", "-pthread", "-Wall", "-Wextra", "-Wno-psabi"]


def _compile(source: Path, target: Path, flags: list[str]) -> None:
    """Compile where the source, or any header of the kernels or tests, is newer than the target."""
    headers = [*HERE.glob("*.h"), *(HERE.parent.parent / "csrc/kernels").rglob("*.h")]
    newest = max(path.stat().st_mtime for path in [source, *headers])
    if target.exists() and target.stat().st_mtime > newest:
        return
    OUT.mkdir(parents=True, exist_ok=True)
    command = [shutil.which("g++") or "g++", *FLAGS, *flags, str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{source.name} does not compile:\n{done.stderr}")


def body_module(op: str) -> ModuleType:
    """The body of ``op`` on a team of threads, as a module with a function ``run``."""
    import pybind11

    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    target = OUT / f"{op}_body{suffix}"
    includes = [f"-I{pybind11.get_include()}", f"-I{sysconfig.get_paths()['include']}"]
    _compile(HERE / f"{op}.cpp", target, ["-DNS_PYBIND", "-shared", "-fPIC", "-fvisibility=hidden", *includes])
    spec = importlib.util.spec_from_file_location(f"{op}_body", target)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tsan_program(op: str) -> Path:
    """A program that runs the body of ``op`` on teams of several sizes under ThreadSanitizer."""
    target = OUT / f"{op}_tsan"
    _compile(HERE / f"{op}.cpp", target, ["-fsanitize=thread"])
    return target
