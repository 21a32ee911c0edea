"""A measurement in a process of its own, by the interpreter that has what it needs."""

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.grow.layer import LAYERS, Layer

ROOT = Path(__file__).parents[2]
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

Found = dict[str, Any]
Task = Callable[[Layer, torch.dtype, int], tuple[Found, dict[str, Tensor]]]


def measure(python: str, module: str, layer: str, dtype: str, repeats: int, patience: float) -> Found:
    """What `python -m <module>` finds out: times, and the new units as tensors; or "error" in one sentence."""
    with tempfile.TemporaryDirectory() as directory:
        units = Path(directory) / "units.pt"
        command = [python, "-W", "ignore", "-m", module, layer, dtype, str(repeats), str(units)]
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(ROOT)}
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=patience)
        except subprocess.TimeoutExpired:
            return {"error": f"no answer in {patience:g} s"}
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode or not lines:
            last = (done.stderr.strip().splitlines() or [""])[-1]
            return {"error": f"the process ended with {done.returncode}: {last[:160]}"}
        return {**json.loads(lines[-1]), "units": torch.load(units, weights_only=True)}


def serve(task: Task) -> None:
    """The other end of `measure`: run the task, keep the units, and print the times as a line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("layer", choices=list(LAYERS))
    parser.add_argument("dtype", choices=["float32", "float64"])
    parser.add_argument("repeats", type=int)
    parser.add_argument("units", type=Path, help="file for the new units")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dtype = getattr(torch, options.dtype)
    torch.set_default_dtype(dtype)
    found, units = task(LAYERS[options.layer], dtype, options.repeats)
    torch.save({name: each.detach().double().contiguous() for name, each in units.items()}, options.units)
    print(json.dumps(found), flush=True)


def timed(repeats: int, run: Callable[[], Any], prepare: Callable[[], Any] = lambda: None) -> float:
    """Process time of the quickest of several runs, after one that does not count."""
    seconds = []
    for _ in range(repeats + 1):
        prepare()
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds[1:])
