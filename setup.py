"""Build netsculpt's two stable-ABI libraries: _C (always) and _C_cuda (where nvcc is).

NETSCULPT_CUDA=auto|0|1 says whether to build the CUDA library: where nvcc is found, never, or always.
TORCH_CUDA_ARCH_LIST chooses the architectures, as everywhere with torch. No GPU is needed to build.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
KERNELS = Path("csrc/kernels")
BINDINGS = Path("csrc/bindings")
TARGETS = Path("build/targets")  # generated: one small file per CPU kernel and SIMD target
TORCH_TARGET = "0x020a000000000000"  # the oldest torch a wheel may meet: 2.10
PYTHON_TARGET = "cp310"
ARCHITECTURES = "8.0;8.6;8.9;9.0+PTX"
FLAGS = [
    "-O3",
    "-std=c++20",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wno-psabi",
    "-Wno-ignored-attributes",
    f"-DTORCH_TARGET_VERSION={TORCH_TARGET}",
]

try:
    import torch
    from torch.utils import cpp_extension
except ImportError:
    sys.exit(
        "netsculpt is built against the torch it will run with, and pip's isolated build has none: "
        "install torch 2.10 or later, then run 'pip install --no-build-isolation .'"
    )


def simd_targets() -> dict[str, str]:
    """SIMD target -> the macro that csrc/kernels/core/target.h reads."""
    import platform

    targets = {"baseline": ""}
    if platform.machine() in ("x86_64", "AMD64"):
        targets |= {"avx2": "#define NS_TARGET_AVX2\n", "avx512": "#define NS_TARGET_AVX512\n"}
    return targets


def cpu_kernel_sources() -> list[str]:
    """Write, and list, a source per CPU kernel and SIMD target: the same code, compiled for each."""
    (ROOT / TARGETS).mkdir(parents=True, exist_ok=True)
    sources = []
    for kernel in sorted((ROOT / KERNELS).glob("*_cpu.cpp")):
        for target, macro in simd_targets().items():
            path = TARGETS / f"{kernel.stem}_{target}.cpp"
            text = f'#define NS_TARGET {target}\n{macro}#include "{kernel.name}"\n'
            if not (ROOT / path).exists() or (ROOT / path).read_text() != text:
                (ROOT / path).write_text(text)
            sources.append(str(path))
    return sources


def listed(folder: Path, pattern: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).glob(pattern))


def cuda_home() -> Path | None:
    """The toolkit to build with; None where there is none or NETSCULPT_CUDA=0."""
    wanted = os.environ.get("NETSCULPT_CUDA", "auto")
    if wanted not in ("auto", "0", "1"):
        sys.exit(f"NETSCULPT_CUDA must be auto, 0 or 1, not {wanted!r}")
    if wanted == "0":
        return None
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    nvcc = Path(home, "bin/nvcc") if home else shutil.which("nvcc")
    if nvcc and Path(nvcc).exists():
        found = Path(home) if home else nvcc_home(str(nvcc))
        if (reason := cuda_mismatch(found)) is None:
            return found
        if wanted == "auto":
            print(f"netsculpt: building without CUDA: {reason}")
            return None
        sys.exit(f"NETSCULPT_CUDA=1, but {reason}")
    if wanted == "1":
        sys.exit("NETSCULPT_CUDA=1, but nvcc was not found: put it on PATH or set CUDA_HOME")
    return None


def nvcc_home(nvcc: str) -> Path:
    """The toolkit behind an nvcc on PATH, which may be a wrapper script: nvcc itself knows its home."""
    dry_run = subprocess.run([nvcc, "--dryrun", "-x", "cu", "-c", os.devnull], capture_output=True, text=True)
    for line in dry_run.stderr.splitlines():
        if line.startswith("#$ TOP="):
            return Path(line.removeprefix("#$ TOP=")).resolve()
    return Path(nvcc).resolve().parent.parent


def nvcc_version(home: Path) -> str:
    text = subprocess.run([home / "bin/nvcc", "--version"], capture_output=True, text=True, check=True).stdout
    return text.split("release ")[1].split(",")[0]


def cuda_mismatch(home: Path) -> str | None:
    """Why this toolkit cannot serve this torch; None where it can."""
    if torch.version.cuda is None:
        return None
    ours, theirs = nvcc_version(home), torch.version.cuda
    if ours.split(".")[0] != theirs.split(".")[0]:
        return f"nvcc is CUDA {ours} and torch was built with CUDA {theirs}: their major versions must agree"
    return None


def cuda_extension(home: Path):
    cpp_extension.CUDA_HOME = str(home)  # None on a CPU-only torch even where nvcc is
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", ARCHITECTURES)  # else a GPU would be asked for
    # A toolkit from wheels has no cuBLAS or cuSPARSE headers; torch's own wheels bring them.
    from_torch = sorted(Path(torch.__file__).parent.parent.glob("nvidia/*/include"))
    includes = [home / "include", home / "include/cccl", *from_torch]
    # The CUDA runtime is linked statically, so a wheel does not name a libcudart of one version.
    libraries = (["torch_cuda"] if torch.version.cuda else []) + ["cudart_static", "rt", "dl", "pthread"]
    return cpp_extension.CppExtension(
        "netsculpt._C_cuda",
        listed(BINDINGS, "*_cuda.cpp") + listed(KERNELS, "*_cuda.cu"),
        py_limited_api=True,
        include_dirs=[str(path) for path in includes if path.exists()],
        library_dirs=[str(home / lib) for lib in ("lib64", "lib") if (home / lib).exists()],
        libraries=libraries,
        extra_compile_args={"cxx": [*FLAGS, "-DUSE_CUDA"], "nvcc": ["-O3", "-std=c++20", "--threads=2"]},
    )


def extensions(home: Path | None) -> list:
    cpu = cpp_extension.CppExtension(
        "netsculpt._C",
        listed(BINDINGS, "library.cpp")
        + listed(BINDINGS, "*_cpu.cpp")
        + listed(KERNELS / "core", "*.cpp")
        + cpu_kernel_sources(),
        include_dirs=[str(ROOT / KERNELS)],
        py_limited_api=True,
        extra_compile_args={"cxx": FLAGS},
    )
    return [cpu] if home is None else [cpu, cuda_extension(home)]


class BuildExtension(cpp_extension.BuildExtension):
    """Also writes down, beside the libraries, what they were built with."""

    def run(self) -> None:
        super().run()
        info = {
            "torch": torch.__version__,
            "cuda": nvcc_version(CUDA_HOME) if CUDA_HOME else None,
            "architectures": os.environ["TORCH_CUDA_ARCH_LIST"] if CUDA_HOME else None,
            "simd_targets": list(simd_targets()),
        }
        library = Path(self.get_ext_fullpath("netsculpt._C"))
        library.with_name("_build_info.json").write_text(json.dumps(info, indent=2) + "\n")


CUDA_HOME = cuda_home()

setup(
    ext_modules=extensions(CUDA_HOME),
    cmdclass={"build_ext": BuildExtension},
    options={"bdist_wheel": {"py_limited_api": PYTHON_TARGET}},
)
