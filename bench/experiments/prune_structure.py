"""Networks whose weights come in no package, pruned with random ones: sizes and time, for accuracy says nothing here.

`python -m bench.experiments.prune_structure`, one thread; needs transformers for ResNet-50.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from bench import machine

EXAMPLES, BATCH, SIDE = 16, 8, 224
SHARE = 0.5  # of the MACs that stay


class Squeeze(nn.Module):
    """Squeeze-and-excite: channels weighed by what all places say together."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * F.hardsigmoid(self.up(F.relu(self.down(F.adaptive_avg_pool2d(x, 1)))))


class Inverted(nn.Module):
    """MobileNetV3's block: expand, depthwise, squeeze-and-excite, project, with hardswish."""

    def __init__(self, before: int, hidden: int, width: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.skips = stride == 1 and before == width
        self.body = nn.Sequential(
            *(nn.Conv2d(before, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.Hardswish()),
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            *(nn.BatchNorm2d(hidden), nn.Hardswish(), Squeeze(hidden)),
            *(nn.Conv2d(hidden, width, 1, bias=False), nn.BatchNorm2d(width)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.skips else self.body(x)


def mobilenet_v3_like() -> nn.Module:
    """Shaped like MobileNetV3-small."""
    blocks = [(16, 16, 3, 2), (72, 24, 3, 2), (88, 24, 3, 1), (96, 40, 5, 2), (240, 40, 5, 1), (240, 40, 5, 1)]
    blocks += [(120, 48, 5, 1), (144, 48, 5, 1), (288, 96, 5, 2), (576, 96, 5, 1), (576, 96, 5, 1)]
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish()]
    before = 16
    for hidden, width, kernel, stride in blocks:
        layers.append(Inverted(before, hidden, width, kernel, stride))
        before = width
    layers += [nn.Conv2d(before, 576, 1, bias=False), nn.BatchNorm2d(576), nn.Hardswish(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, 1000))


def resnet_50() -> nn.Module:
    from transformers import ResNetConfig, ResNetForImageClassification

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = ResNetForImageClassification(ResNetConfig(num_labels=1000))

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = self.model(x).logits
            return logits

    return Logits()


NETWORKS: dict[str, Callable[[], nn.Module]] = {"MobileNetV3-like": mobilenet_v3_like, "ResNet-50": resnet_50}


def line(name: str) -> dict[str, Any]:
    torch.manual_seed(0)
    model, x = NETWORKS[name](), torch.randn(EXAMPLES, 3, SIDE, SIDE)
    ns.recalibrate(model, x.split(BATCH))
    model.eval()
    with torch.no_grad():
        labelled = [(part, model(part).argmax(1)) for part in x.split(BATCH)]
    start = time.process_time()
    sculptor = ns.Sculptor(model, x[:2])
    traced = time.process_time()
    stats = sculptor.measure(labelled, F.cross_entropy, for_="prune")
    measured = time.process_time()
    plan = ns.prune(stats, ns.Budget(macs=f"{100 * SHARE}%"))
    planned = time.process_time()
    done = sculptor.apply(plan)
    seconds = {"trace": traced - start, "measure": measured - traced, "plan": planned - measured}
    seconds["apply"] = time.process_time() - planned
    pruned = sum(isinstance(edit, ns.Prune) for edit in plan.edits)
    sizes = {"before": done.before._asdict(), "after": done.after._asdict()}
    predictions = {"predicted": done.predicted, "measured": done.measured}
    return {"network": name, **sizes, "axes": len(stats.consumers), "pruned": pruned, "seconds": seconds, **predictions}


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.prune_structure", description=__doc__)
    parser.add_argument("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--out", type=Path, help="file of the numbers, as JSON")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    lines = []
    for name in options.networks:
        lines.append(line(name))
        print(json.dumps(lines[-1]), file=sys.stderr, flush=True)
    text = json.dumps({"machine": machine.describe("cpu", threads=1), "lines": lines}, indent=1)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
