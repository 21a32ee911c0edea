"""torch-pruning on the real MobileNetV2, as `prune_mobilenet` prunes it: a line of JSON for each way and share.

`PEER-PYTHON -m bench.experiments.peer_mobilenet --files DIR`, in an environment that need not have netsculpt.
"""

import argparse
import copy
import json
from pathlib import Path

import torch
from torch import nn

from bench.experiments.data import Images
from bench.experiments.peer_prune import WAYS, cost, to_share
from bench.experiments.photos import crops
from bench.experiments.pretrained import agreement, mobilenet

SHARES = (258 / 314, 245 / 314, 220 / 314, 150 / 314)  # those of `prune_mobilenet`
PER_PHOTO, BATCH = 6, 16


@torch.no_grad()
def recalibrated(model: nn.Module, pictures: torch.Tensor) -> nn.Module:
    """A copy whose batch norms have the means and variances of these pictures."""
    own = copy.deepcopy(model)
    for module in own.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
            module.train()
    for part in pictures.split(BATCH):
        own(part)
    return own.eval()


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.peer_mobilenet", description=__doc__)
    parser.add_argument("--files", type=Path, help="directory of unpacked packages, where they are not installed")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=["L2", "FPGM", "BNScale", "Taylor"])
    parser.add_argument("--shares", type=float, nargs="+", default=list(SHARES))
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    model = mobilenet(options.files)
    seen, unseen = crops(PER_PHOTO, options.files)
    with torch.no_grad():
        labels = torch.cat([model(part).argmax(1) for part in seen.split(BATCH)])
    full = cost(model, seen[:1])[1]
    for way in options.ways:
        for whole in (False, True):
            for share in options.shares:
                own, _ = to_share(model, way, whole, share, Images(seen, labels))
                params, macs = cost(own, seen[:1])
                line = {"way": way, "ranking": "global" if whole else "local", "share": share, "of": macs / full}
                line |= {"params": params, "macs": macs}
                for key, each in (("agreement", own), ("recalibrated", recalibrated(own, seen))):
                    top1, kl, _ = agreement(model, each, unseen, compare_features=False)
                    line[key] = {"top1": top1, "kl": kl}
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
