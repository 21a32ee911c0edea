"""A measurement in a process of its own: what crashes, hangs or fills a cache there stays there."""

import argparse
import json
import os
import resource
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.graph.clock import TimeLimit

ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
PATIENCE = 20  # times the limit in wall time, for all repetitions, before a child that heeds no signal is ended
MEMORY = 16 << 30  # bytes of address space: what grows without bounds ends with a MemoryError, not with the machine

Task = Callable[[str, int, float], dict[str, Any]]


def measure(python: str, side: str, task: str, model: str, repeats: int, limit: float) -> dict[str, Any]:
    """What `python -m bench.graph.<side>` finds out: numbers, or "error" in one sentence."""
    command = [python, "-W", "ignore", "-m", f"bench.graph.{side}", task, model, str(repeats), str(limit)]
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE * limit
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {PATIENCE * limit:g} s of wall time"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if not lines:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return {"error": f"the process ended with {done.returncode}: {last[:160]}"}
    return json.loads(lines[-1])


def serve(tasks: Mapping[str, Task]) -> None:
    """The other end of `measure`: run one task and print what it found as a line of JSON."""
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=list(tasks))
    parser.add_argument("model")
    parser.add_argument("repeats", type=int)
    parser.add_argument("limit", type=float)
    options = parser.parse_args()
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    print(json.dumps(outcome(tasks[options.task], options.model, options.repeats, options.limit)), flush=True)


def outcome(task: Task, model: str, repeats: int, limit: float) -> dict[str, Any]:
    """What the task finds; a crash is its exception and where, a hang the limit."""
    try:
        return task(model, repeats, limit)
    except TimeLimit:
        return {"error": f"more than {limit:g} s"}
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        said = (str(error).strip().splitlines() or [""])[0][:120]
        print(traceback.format_exc(), file=sys.stderr)
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        return {"error": type(error).__name__, "said": said, "place": place}
