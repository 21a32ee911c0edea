"""`python -m bench`: every op against its alternatives and against the machine's roofline, as one Markdown table."""

import argparse
import contextlib
import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from bench import machine
from bench.case import Case
from bench.roofline import Roofline
from bench.runner import Row, measure
from bench.table import cells, markdown


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--op", action="append", choices=names(), help="only this op; may be given again")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--min-time", type=float, default=1.0, help="seconds to spend on each contender at least")
    parser.add_argument("--json", type=Path, help="write all numbers to this file too")
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    return parser.parse_args()


def names() -> list[str]:
    return sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def cases(op: str, device: str) -> Iterator[Case]:
    yield from importlib.import_module(f"bench.bench_{op}").cases(device)


@contextlib.contextmanager
def same_threads_for_all(threads: int) -> Iterator[None]:
    """NumPy's and SciPy's BLAS get as many threads as torch, where threadpoolctl is there to tell them."""
    torch.set_num_threads(threads)
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield
    else:
        with threadpool_limits(threads):
            yield


def run(options: argparse.Namespace) -> list[Row]:
    roofline = Roofline(options.device, options.threads)
    print("measuring the machine", file=sys.stderr)
    roofline.measure()
    rows: list[Row] = []
    for op in options.op or names():
        for case in cases(op, options.device):
            print(f"{case.op}, {case.name}: ", end="", file=sys.stderr, flush=True)
            rows.append(measure(case, roofline, options.min_time))
            print(cells(rows[-1])[2], file=sys.stderr)
    described = machine.describe(options.device, options.threads)
    text = markdown(rows, described, roofline.describe())
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.json:
        found = {"machine": described, "roofline": vars(roofline), "rows": [row.as_dict() for row in rows]}
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    return rows


def main() -> None:
    options = arguments()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda needs a GPU, and torch sees none here")
    with torch.no_grad(), same_threads_for_all(options.threads):
        rows = run(options)
    wrong = sorted({row.op for row in rows if row.error})
    if wrong:
        raise SystemExit(f"wrong answers from {', '.join(wrong)}: see the table")


if __name__ == "__main__":
    main()
