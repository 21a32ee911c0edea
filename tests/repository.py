"""The repository that is tested: its folder, its op table, and Python run in it as a process of its own."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# Names with overloads, as library.cpp defines them, and the ops that they belong to.
SCHEMAS = re.findall(r'm\.def\(\s*"([\w.]+)\(', (REPOSITORY / "csrc/bindings/library.cpp").read_text())
OPS = sorted({name.split(".")[0] for name in SCHEMAS})


def run_python(script: str, env: Mapping[str, str] | None = None, cwd: Path = REPOSITORY) -> str:
    """Standard output of ``python -c script``; the folder it runs in comes first in its search path."""
    done = subprocess.run([sys.executable, "-c", script], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
