"""Run Python in a process of its own: other environment, other folder, other copy of the package."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def run_python(script: str, env: Mapping[str, str] | None = None, cwd: Path = REPOSITORY) -> str:
    """Standard output of ``python -c script``; the folder it runs in comes first in its search path."""
    done = subprocess.run([sys.executable, "-c", script], cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
