"""A measurement in a process of its own, so that its memory is its own."""

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from bench.graph.child import ONE_THREAD, ROOT

Task = Callable[[str, int], dict[str, Any]]


def measure(python: str, side: str, task: str, layer: str, repeats: int, patience: float) -> dict[str, Any]:
    """What `python -m bench.prune.<side>` finds out: numbers, or "error" in one sentence."""
    command = [python, "-W", "ignore", "-m", f"bench.prune.{side}", task, layer, str(repeats)]
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {patience:g} s"}
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return {"error": f"the process ended with {done.returncode}: {last[:160]}"}
    return json.loads(lines[-1])


def serve(tasks: Mapping[str, Task]) -> None:
    """The other end of `measure`: run one task and print what it found as a line of JSON."""
    import torch

    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=list(tasks))
    parser.add_argument("layer")
    parser.add_argument("repeats", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(tasks[options.task](options.layer, options.repeats)), flush=True)


def peak() -> int:
    """Most bytes that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
