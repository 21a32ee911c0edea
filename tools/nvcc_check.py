"""`make nvcc`: what can be known of the CUDA code without a GPU.

Every kernel compiles for both architectures and spills no register; the CUDA library builds and links against the
torch at hand; and where that torch has CUDA, every op is registered for the CPU, for CUDA and for tracing.
"""

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools import cuda_toolkit

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ("80", "90")
# Run apart from this process, which must not have the library open while it is built anew.
REGISTRATIONS = """
import netsculpt, torch
keys = ["CPU", "Meta"] + (["CUDA"] if torch.version.cuda else [])
names = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("netsculpt::")]
missing = [f"{name} for {key}" for name in names for key in keys if f"\\n{key}: " not in torch._C._dispatch_dump(name)]
if missing:
    raise SystemExit("not registered: " + ", ".join(sorted(missing)))
print(f"{len(names)} ops are registered for {', '.join(keys)} (torch {torch.__version__})")
"""


@dataclass(frozen=True)
class Usage:
    """What ptxas says of one kernel on one architecture; memory in bytes."""

    kernel: str
    architecture: str
    registers: int
    shared: int
    stack: int
    spilled: int


def parse(ptxas: str) -> list[Usage]:
    """The kernels in the output of ``nvcc -Xptxas -v``; functions that kernels call come without a register count."""
    number = re.compile(r"(\d+) bytes (stack frame|spill stores|spill loads|smem)")
    usages: list[Usage] = []
    for block in ptxas.split("Compiling entry function '")[1:]:
        head = re.match(r"(\w+)' for 'sm_(\w+)'", block)
        registers = re.search(r"Used (\d+) registers", block)
        if head is None or registers is None:
            raise SystemExit(f"tools/nvcc_check.py does not understand what ptxas said:\n{block}")
        sums = {"stack frame": 0, "spill stores": 0, "spill loads": 0, "smem": 0}
        for count, what in number.findall(block):
            sums[what] += int(count)
        spilled = sums["spill stores"] + sums["spill loads"]
        usages.append(Usage(head[1], head[2], int(registers[1]), sums["smem"], sums["stack frame"], spilled))
    return usages


def compile_kernels(home: Path, source: Path, folder: Path) -> list[Usage]:
    """Compile one ``.cu`` file for every architecture, without torch."""
    targets = [f"-gencode=arch=compute_{a},code=sm_{a}" for a in ARCHITECTURES]
    includes = [f"-I{path}" for path in cuda_toolkit.include_dirs(home)]
    flags = [*cuda_toolkit.NVCC_FLAGS, *targets, *includes, "-Xptxas", "-v"]
    target = folder / f"{source.stem}.o"
    command = [str(home / "bin/nvcc"), *flags, "-c", str(source), "-o", str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{source.relative_to(ROOT)} does not compile:\n{done.stdout}{done.stderr}")
    return parse(done.stdout + done.stderr)


def readable(symbols: list[str]) -> list[str]:
    """Demangled names without what every kernel shares: namespaces, return type and arguments."""
    try:
        done = subprocess.run(["c++filt"], input="\n".join(symbols), capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return symbols
    return [shorten(name) for name in done.stdout.splitlines()]


def shorten(name: str) -> str:
    for noise in ("netsculpt::", "(anonymous namespace)::", "portable::", "void "):
        name = name.replace(noise, "")
    return name.split("(")[0]


def table(usages: list[Usage]) -> str:
    names = readable([usage.kernel for usage in usages])
    width = max(len(name) for name in names)
    lines = [f"{'kernel':{width}}  arch  registers  shared  stack  spilled"]
    for name, u in sorted(zip(names, usages, strict=True), key=lambda pair: (pair[0], pair[1].architecture)):
        numbers = f"{u.registers:9}  {u.shared:6}  {u.stack:5}  {u.spilled:7}"
        lines.append(f"{name:{width}}  sm_{u.architecture}  {numbers}")
    return "\n".join(lines)


def check_kernels(home: Path) -> None:
    sources = sorted((ROOT / "csrc/kernels").glob("*.cu"))
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        files = list(pool.map(lambda source: compile_kernels(home, source, Path(folder)), sources))
    usages = [usage for file in files for usage in file]
    print(table(usages))
    spilling = [usage for usage in usages if usage.spilled]
    if spilling:
        names = ", ".join(sorted(set(readable([usage.kernel for usage in spilling]))))
        raise SystemExit(f"registers spill to memory in {names}: give the kernel less to keep, or fewer threads")
    kernels = len({usage.kernel for usage in usages})
    print(f"{kernels} kernels in {len(sources)} files, each for sm_{' and sm_'.join(ARCHITECTURES)}: no spills")


def check_library(home: Path) -> None:
    environment = os.environ | {"CUDA_HOME": str(home), "NETSCULPT_CUDA": "1"}
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the CUDA library does not build:\n{done.stdout}{done.stderr}")
    print("netsculpt._C_cuda builds and links")
    if subprocess.run([sys.executable, "-c", REGISTRATIONS], cwd=ROOT).returncode != 0:
        raise SystemExit("the registrations are incomplete")


def toolkit() -> Path:
    home = cuda_toolkit.find()
    if home is None:
        print("nvcc is not on this machine: fetching a toolkit as Python wheels")
        try:
            home = cuda_toolkit.fetch(Path(sys.prefix) / "cuda-toolkit")
        except subprocess.CalledProcessError:
            raise SystemExit("nvcc is neither here nor to be fetched: the CUDA code is unchecked") from None
    return home


def main() -> None:
    home = toolkit()
    print(f"nvcc {cuda_toolkit.version(home)}")
    check_kernels(home)
    check_library(home)


if __name__ == "__main__":
    main()
