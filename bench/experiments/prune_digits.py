"""The smallest digit CNN within 0.3 points of its accuracy, without any fine-tuning.

`python -m bench.experiments.prune_digits --files DIR`, one thread. Pruning sees training pictures of MNIST only: 2,000
to imitate, with the tolerance, and 4,000 others to choose the tolerance by. The test pictures are looked at once, at
the end.
"""

import argparse
import copy
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

import netsculpt as ns
from bench import machine
from bench.experiments.pretrained import digits, mnist
from bench.experiments.training import evaluate

CALIBRATION, BATCH = 2000, 250
LOST = 0.003  # of all examples, no longer right
TOLERANCES = (0.002, 0.003, 0.004)  # tried, of the calibration pictures


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.prune_digits", description=__doc__)
    parser.add_argument("--files", type=Path, help="directory of unpacked packages, where they are not installed")
    parser.add_argument("--out", type=Path, help="file of the numbers, as JSON")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    model, test = digits(options.files), mnist(options.files)
    train = mnist(options.files, training=True)
    rows = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(0))
    batches = train.take(rows[:CALIBRATION]).batches(BATCH)
    held = train.take(rows[CALIBRATION : 3 * CALIBRATION])  # to choose the tolerance by
    sculptor = ns.Sculptor(model, test.pictures[:2])
    stats = sculptor.measure(batches, F.cross_entropy, for_="prune")
    whole = sculptor.graph.cost()
    before = evaluate(model, held)[1]
    lines: list[dict[str, Any]] = []
    best: tuple[int, torch.nn.Module] | None = None
    for tolerance in TOLERANCES:
        start = time.process_time()
        plan = ns.prune(stats, tolerance=ns.Tolerance(accuracy=tolerance))
        own = copy.deepcopy(model)
        ns.apply(plan, own, graph=ns.trace(own, test.pictures[:2]), check=False)
        assert plan.after is not None
        line = {"tolerance": tolerance, **plan.after._asdict(), "seconds": time.process_time() - start}
        line["held_out"] = evaluate(own, held)[1]
        lines.append(line)
        if before - line["held_out"] <= LOST and (best is None or plan.after.macs < best[0]):
            best = plan.after.macs, own
    found = {
        "machine": machine.describe("cpu", threads=1),
        "before": whole._asdict(),
        "held_out": before,
        "lines": lines,
    }
    found |= {"test": {"unpruned": evaluate(model, test)[1], "chosen": None if best is None else best[0]}}
    if best is not None:
        found["test"] |= {
            "pruned": evaluate(best[1], test)[1],
            "widths": [w.shape[0] for w in best[1].parameters() if w.dim() > 1],
        }
    text = json.dumps(found, indent=1)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
