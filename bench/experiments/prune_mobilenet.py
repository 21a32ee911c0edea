"""The real MobileNetV2 pruned without labels and without fine-tuning: how far its answers move on unseen photos.

`python -m bench.experiments.prune_mobilenet --files DIR --data DIR`, one thread. Calibration is on crops of every other
photo, with the network's own answers for labels; agreement is measured on crops of the others. Transfer: ridge
regression from the 1280 features to the classes of Fashion-MNIST, pictures scaled to 96 × 96.
"""

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import netsculpt as ns
from bench import machine
from bench.experiments.data import DIRECTORY, Images, load
from bench.experiments.mobilenet import MobileNetV2
from bench.experiments.photos import crops
from bench.experiments.pretrained import agreement, mobilenet
from netsculpt.measure import Statistics

SHARES = (258 / 314, 245 / 314, 220 / 314, 150 / 314)  # of the MACs that stay, as published budgets have them
PER_PHOTO, BATCH = 6, 16
CRITERIA = ("l1", "l2", "lamp", "geometric_median", "batch_norm_scale", "taylor", "fisher", "obd", "random")
TRANSFER = (2000, 1000)  # pictures of Fashion-MNIST to fit and to judge by
TRANSFERRED = ("local, refit", "l2")  # ways whose features are tried so, batch norms measured anew
Way = Callable[[Statistics, ns.Budget], ns.Plan]


def ways() -> dict[str, Way]:
    """Every way to prune, by name."""
    found: dict[str, Way] = {
        "local, refit": lambda stats, budget: ns.prune(stats, budget),
        "local, scales": lambda stats, budget: ns.prune(stats, budget, refit="scale"),
    }
    for name in CRITERIA:
        found[name] = lambda stats, budget, name=name: ns.prune_by(stats, budget, name)
    return found


def runs(
    model: MobileNetV2, seen: Tensor, unseen: Tensor, few: Images | None, rest: Images | None
) -> Iterator[dict[str, Any]]:
    """Each way at each share: sizes, and agreement on unseen crops as it is and with its batch norms measured anew."""
    batches = list(seen.split(BATCH))
    with torch.no_grad():
        labelled = [(x, model(x).argmax(1)) for x in batches]
    for way, make in ways().items():
        stats = ns.Sculptor(model, seen[:2]).measure(labelled, F.cross_entropy, for_="prune")
        for share in SHARES:
            start = time.process_time()
            plan = make(stats, ns.Budget(macs=f"{100 * share}%"))
            line = {"way": way, "share": share, "seconds": time.process_time() - start}
            own = copy.deepcopy(model)
            ns.apply(plan, own, graph=ns.trace(own, seen[:2]), check=False)
            assert plan.after is not None
            line |= {**plan.after._asdict(), "agreement": comparable(model, own, unseen)}
            ns.recalibrate(own, batches)
            line["recalibrated"] = comparable(model, own, unseen)
            if few is not None and rest is not None and way in TRANSFERRED:
                line["transfer"] = transferred(own, few, rest)
            yield line


def comparable(model: MobileNetV2, own: MobileNetV2, unseen: Tensor) -> dict[str, float | None]:
    """Agreement; the features can be compared only where none of them was removed."""
    alike = own.classifier[1].in_features == model.classifier[1].in_features
    return dict(agreement(model, own, unseen, compare_features=alike)._asdict())


def transferred(own: MobileNetV2, few: Images, rest: Images) -> float:
    """Accuracy on ``rest`` of a ridge regression from features to classes that is fitted to ``few``."""
    x, y = features(own, few.pictures), F.one_hot(few.labels, 10).double()
    mean = x.mean(0)
    x = x - mean
    system = x.T @ x + 1e-2 * len(x) * x.var(0).mean() * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(system, x.T @ (y - y.mean(0)))
    answers = (features(own, rest.pictures) - mean) @ weights + y.mean(0)
    return float((answers.argmax(1) == rest.labels).double().mean())


@torch.no_grad()
def features(own: MobileNetV2, pictures: Tensor) -> Tensor:
    parts = []
    for part in pictures.split(100):
        large = F.interpolate(part, size=(96, 96), mode="bilinear", align_corners=False)
        parts.append(own.embed(large.expand(-1, 3, -1, -1)).double())
    return torch.cat(parts)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.prune_mobilenet", description=__doc__)
    parser.add_argument("--files", type=Path, help="directory of unpacked packages, where they are not installed")
    parser.add_argument("--data", type=Path, default=DIRECTORY, help="directory of the four files of Fashion-MNIST")
    parser.add_argument("--no-transfer", action="store_true", help="agreement only")
    parser.add_argument("--out", type=Path, help="file of the numbers, as JSON")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    model = mobilenet(options.files)
    seen, unseen = crops(PER_PHOTO, options.files)
    few = rest = None
    if not options.no_transfer:
        train_set, test_set = load(options.data, TRANSFER[0])
        few, rest = train_set, test_set.take(torch.arange(TRANSFER[1]))
    cost = ns.trace(model, seen[:2]).cost()
    lines: list[dict[str, Any]] = [{"way": "unpruned", "share": 1.0, **cost._asdict()}]
    if few is not None and rest is not None:
        lines[0]["transfer"] = transferred(model, few, rest)
    for line in runs(model, seen, unseen, few, rest):
        lines.append(line)
        print(json.dumps(line), file=sys.stderr, flush=True)
    found = {"machine": machine.describe("cpu", threads=1), "crops": [len(seen), len(unseen)], "lines": lines}
    text = json.dumps(found, indent=1)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
