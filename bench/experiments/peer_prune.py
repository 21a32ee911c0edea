"""torch-pruning on a trained network, in an environment that need not have netsculpt; a line of JSON for each way.

`PEER-PYTHON -m bench.experiments.peer_prune vgg WEIGHTS --data DIR`. One step at the ratio, found by bisection, that
leaves closest to the asked share of the MACs of convolutions and linear layers. Gradients come from the same pictures.
"""

import argparse
import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn import functional as F

from bench.experiments.convnets import make
from bench.experiments.data import DIRECTORY, Images, load
from bench.experiments.training import BATCH, evaluate, optimizer_of, train

ROUNDS = 12
WAYS: dict[str, Callable[[], Any]] = {
    "L1": lambda: torch_pruning.importance.MagnitudeImportance(p=1),
    "L2": lambda: torch_pruning.importance.MagnitudeImportance(p=2),
    "FPGM": lambda: torch_pruning.importance.FPGMImportance(),
    "LAMP": lambda: torch_pruning.importance.LAMPImportance(),
    "BNScale": lambda: torch_pruning.importance.BNScaleImportance(),
    "Taylor": lambda: torch_pruning.importance.TaylorImportance(),
    "Hessian": lambda: torch_pruning.importance.HessianImportance(),
    "Random": lambda: torch_pruning.importance.RandomImportance(),
}


def cost(model: nn.Module, example: Tensor) -> tuple[int, int]:
    """Parameters, and MACs of convolutions and linear layers for one picture."""
    macs = 0

    def add(module: nn.Module, _: Any, out: Tensor) -> None:
        nonlocal macs
        macs += out[0].numel() * module.weight[0].numel()  # type: ignore[index, operator]

    layers = [each for each in model.modules() if isinstance(each, (nn.Conv2d, nn.Linear))]
    hooks = [each.register_forward_hook(add) for each in layers]
    with torch.no_grad():
        model(example)
    for hook in hooks:
        hook.remove()
    return sum(each.numel() for each in model.parameters()), macs


def gradients(model: nn.Module, way: str, data: Images) -> list[Tensor]:
    """What Taylor and Hessian read as gradients; for Hessian the mean over pictures of the squared ones.

    Not its own `accumulate_grad`, which looks for names among keys that are parameters, and so keeps the last only.
    """
    params = list(model.parameters())
    if way == "Hessian":
        sums = [torch.zeros_like(each) for each in params]
        for picture, label in zip(data.pictures.split(1), data.labels.split(1), strict=True):
            for total, each in zip(
                sums, torch.autograd.grad(F.cross_entropy(model(picture), label), params), strict=True
            ):
                total += each.square()
        return [each / len(data.labels) for each in sums]
    return list(torch.autograd.grad(F.cross_entropy(model(data.pictures), data.labels), params))


def pruned(model: nn.Module, way: str, ratio: float, whole: bool, found: list[Tensor], example: Tensor) -> nn.Module:
    own = copy.deepcopy(model)
    for param, gradient in zip(own.parameters(), found, strict=False):
        param.grad = gradient.clone()
    last = [each for each in own.modules() if isinstance(each, nn.Linear)][-1]
    torch.manual_seed(0)
    torch_pruning.pruner.BasePruner(
        own, example, importance=WAYS[way](), global_pruning=whole, pruning_ratio=ratio, ignored_layers=[last]
    ).step()
    return own


def to_share(model: nn.Module, way: str, whole: bool, share: float, data: Images) -> tuple[nn.Module, float]:
    """The pruned network whose MACs are closest to ``share`` of the model's, and its ratio."""
    example, wanted = data.pictures[:1], share * cost(model, data.pictures[:1])[1]
    found = gradients(model, way, data) if way in ("Taylor", "Hessian") else []
    low, high = 0.0, 1.0
    best: tuple[float, nn.Module, float] | None = None
    for _ in range(ROUNDS):
        ratio = (low + high) / 2
        own = pruned(model, way, ratio, whole, found, example)
        macs = cost(own, example)[1]
        if best is None or abs(macs - wanted) < best[0]:
            best = abs(macs - wanted), own, ratio
        low, high = (ratio, high) if macs > wanted else (low, ratio)
    assert best is not None
    return best[1], best[2]


def remeasure(model: nn.Module, data: Images) -> None:
    """Batch norms' averages from these pictures, as `ns.recalibrate` takes them."""
    norms = [each for each in model.modules() if isinstance(each, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over batches
    model.train()
    with torch.no_grad():
        for pictures, _ in data.batches(BATCH):
            model(pictures)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.peer_prune", description=__doc__)
    parser.add_argument("network")
    parser.add_argument("weights", type=Path, help="state dict of the trained network")
    parser.add_argument("--data", type=Path, default=DIRECTORY, help="directory of the four files of Fashion-MNIST")
    parser.add_argument("--share", type=float, default=0.5, help="of the MACs that stay")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--calibration", type=int, default=256, help="training pictures for gradients")
    parser.add_argument("--finetune", type=int, default=0, help="epochs")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    train_set, test_set = load(options.data, 60_000)
    model = make(options.network).eval()
    model.load_state_dict(torch.load(options.weights, weights_only=True))
    calibration = train_set.take(torch.arange(options.calibration))
    full = cost(model, test_set.pictures[:1])[1]
    for way in options.ways:
        for whole in (False, True):
            line: dict[str, Any] = {"network": options.network, "way": way, "ranking": "global" if whole else "local"}
            try:
                own, ratio = to_share(model, way, whole, options.share, calibration)
                params, macs = cost(own, test_set.pictures[:1])
                line |= {"ratio": ratio, "params": params, "macs": macs, "share": macs / full}
                line["accuracy"] = evaluate(own, test_set)[1]
                remeasure(own, calibration)
                line["recalibrated"] = evaluate(own, test_set)[1]
                if options.finetune:
                    train(own, optimizer_of(own), train_set, options.finetune, 0)
                    line["finetuned"] = evaluate(own, test_set)[1]
            except Exception as error:  # the peer's crash is a finding, and the other ways go on
                line["error"] = f"{type(error).__name__}: {error}"
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
