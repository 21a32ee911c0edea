"""Build netsculpt's two stable-ABI libraries: _C (always) and _C_cuda (where nvcc is).

NETSCULPT_CUDA=auto|0|1 says whether to build the CUDA library: where nvcc is found, never, or always.
TORCH_CUDA_ARCH_LIST chooses the architectures, as everywhere with torch. No GPU is needed to build.
"""

import json
import os
import platform
import sys
from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT))  # pip does not put the project's folder there

from tools import cuda_toolkit  # noqa: E402

KERNELS = Path("csrc/kernels")
BINDINGS = Path("csrc/bindings")
TARGETS = Path("build/targets")  # generated: one small file per CPU kernel and SIMD target
TORCH_TARGET = "0x020a000000000000"  # the oldest torch a wheel may meet: 2.10
PYTHON_TARGET = "cp310"
ARCHITECTURES = "8.0;8.6;8.9;9.0+PTX"
FLAGS = [
    "-O3",
    "-g0",  # Python's own flags may ask for debugging information, ten times the library's size
    "-std=c++20",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fvisibility=hidden",
    "-Wno-psabi",
    "-Wno-ignored-attributes",
    f"-ffile-prefix-map={ROOT}=netsculpt",  # torch keeps each registration's file; the rest of its path is private
    f"-DTORCH_TARGET_VERSION={TORCH_TARGET}",
]

try:
    import torch
    from torch.utils import cpp_extension
except ImportError:
    sys.exit(
        "netsculpt is built against the torch it will run with, and here is none (pip's isolated build hides it): "
        "install torch 2.10 or later, setuptools and ninja, then run 'pip install --no-build-isolation .'"
    )


def simd_targets() -> dict[str, str]:
    """SIMD target -> the macro that csrc/kernels/core/target.h reads."""
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
    wanted = os.environ.get("NETSCULPT_CUDA") or "auto"
    if wanted not in ("auto", "0", "1"):
        sys.exit(f"NETSCULPT_CUDA must be auto, 0 or 1, not {wanted!r}")
    home = None if wanted == "0" else cuda_toolkit.find()
    if home is None:
        if wanted == "1":
            sys.exit("NETSCULPT_CUDA=1, but nvcc was not found: put it on PATH or set CUDA_HOME")
        return None
    reason = cuda_toolkit.mismatch(home, torch.version.cuda)
    if reason and wanted == "1":
        sys.exit(f"NETSCULPT_CUDA=1, but {reason}")
    if reason:
        print(f"netsculpt: building without CUDA: {reason}")
    return None if reason else home


def cpu_extension():
    return cpp_extension.CppExtension(
        "netsculpt._C",
        listed(BINDINGS, "library.cpp")
        + listed(BINDINGS, "*_cpu.cpp")
        + listed(KERNELS / "core", "*.cpp")
        + cpu_kernel_sources(),
        include_dirs=[str(ROOT / KERNELS)],
        py_limited_api=True,
        extra_compile_args={"cxx": FLAGS},
    )


def cuda_extension(home: Path):
    cpp_extension.CUDA_HOME = str(home)  # None on a CPU-only torch even where nvcc is
    # A toolkit from wheels has no cuBLAS or cuSPARSE headers; torch's own wheels bring them.
    from_torch = sorted(Path(torch.__file__).parent.parent.glob("nvidia/*/include"))
    # The CUDA runtime is linked statically, so a wheel does not name a libcudart of one version.
    libraries = (["torch_cuda"] if torch.version.cuda else []) + ["cudart_static", "rt", "dl", "pthread"]
    return cpp_extension.CppExtension(
        "netsculpt._C_cuda",
        listed(BINDINGS, "*_cuda.cpp") + listed(KERNELS, "*_cuda.cu"),
        py_limited_api=True,
        include_dirs=cuda_toolkit.include_dirs(home) + [str(path) for path in from_torch],
        library_dirs=cuda_toolkit.library_dirs(home),
        libraries=libraries,
        extra_compile_args={"cxx": [*FLAGS, "-DUSE_CUDA"], "nvcc": [*cuda_toolkit.NVCC_FLAGS, "--threads=2"]},
    )


class BuildExtension(cpp_extension.BuildExtension):
    """Also writes down, beside the libraries, what they were built with."""

    def finalize_options(self) -> None:
        super().finalize_options()
        # Whichever front end builds, the same objects: an editable install would start in an empty folder.
        self.build_temp = str(ROOT / "build" / f"objects-torch-{torch.__version__}")

    def run(self) -> None:
        super().run()
        if CUDA_HOME is None:  # one from an earlier build must not stay, nor get into a wheel
            Path(self.get_ext_fullpath("netsculpt._C")).with_name("_C_cuda.abi3.so").unlink(missing_ok=True)
        info = {
            "torch": torch.__version__,
            "cuda": cuda_toolkit.version(CUDA_HOME) if CUDA_HOME else None,
            "architectures": os.environ["TORCH_CUDA_ARCH_LIST"] if CUDA_HOME else None,
            "simd_targets": list(simd_targets()),
        }
        library = Path(self.get_ext_fullpath("netsculpt._C"))
        library.with_name("_build_info.json").write_text(json.dumps(info, indent=2) + "\n")


CUDA_HOME = cuda_home()
if not os.environ.get("TORCH_CUDA_ARCH_LIST"):
    os.environ["TORCH_CUDA_ARCH_LIST"] = ARCHITECTURES  # else torch would ask a GPU, and there may be none

setup(
    ext_modules=[cpu_extension()] + ([cuda_extension(CUDA_HOME)] if CUDA_HOME else []),
    cmdclass={"build_ext": BuildExtension},
    options={"bdist_wheel": {"py_limited_api": PYTHON_TARGET}},
)
