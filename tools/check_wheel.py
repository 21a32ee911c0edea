"""Does a wheel load in other Pythons and other torch versions than it was built with?

python -m tools.check_wheel dist/netsculpt-*.whl python3.10 .venv-torch-2.14.1/bin/python ...

Each interpreter must have torch. The wheel is unpacked beside nothing else, imported, and made to compute.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

SCRIPT = """
import platform, warnings
warnings.simplefilter("error", RuntimeWarning)
import torch, netsculpt
info = netsculpt.build_info()
x = torch.randn(12, 12).double()
cov = x + x.mT
torch.testing.assert_close(netsculpt.ops.coupled_gram(cov, cov, 3), (cov * cov).view(4, 3, 4, 3).sum((1, 3)))
assert info["cpu_library"] == "loaded", info
print(f"Python {platform.python_version()}: built with torch {info['torch_built']}, loads in {torch.__version__};",
      f"CUDA library: {info['cuda_library']}")
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.check_wheel")
    parser.add_argument("wheel", type=Path)
    parser.add_argument("python", nargs="+", help="an interpreter that has torch")
    options = parser.parse_args()
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(options.wheel) as archive:
            archive.extractall(folder)
        for python in options.python:
            # Resolved by hand where it names a file: the process runs in another folder.
            found = str(Path(python).absolute()) if "/" in python else python
            failed |= subprocess.run([found, "-c", SCRIPT], cwd=folder).returncode != 0
    sys.exit(int(failed))


if __name__ == "__main__":
    main()
