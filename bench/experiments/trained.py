"""Networks trained once on Fashion-MNIST and kept: `python -m bench.experiments.trained --cache DIR`, one thread."""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from torch import nn

from bench.experiments.convnets import make
from bench.experiments.data import DIRECTORY, Images, load
from bench.experiments.training import evaluate, optimizer_of, train

CACHE = Path(tempfile.gettempdir()) / "netsculpt-experiments"
EPOCHS = {"vgg": 3, "resnet": 3}
EXAMPLES = 60_000


def weights_file(cache: Path, name: str, seed: int) -> Path:
    """Where the weights lie; the epochs are in the name, so that other ones are never taken for these."""
    return cache / f"{name}-epochs{EPOCHS[name]}-seed{seed}.pth"


def trained(name: str, seed: int, data: Images, cache: Path = CACHE) -> nn.Module:
    """The network, in eval mode, read from ``cache`` or else trained on ``data`` and written there."""
    model, file = make(name, seed), weights_file(cache, name, seed)
    if file.exists():
        model.load_state_dict(torch.load(file, weights_only=True))
    else:
        train(model, optimizer_of(model), data, EPOCHS[name], seed)
        cache.mkdir(parents=True, exist_ok=True)
        torch.save(model.state_dict(), file)
    return model.eval()


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.trained", description=__doc__)
    parser.add_argument("--data", type=Path, default=DIRECTORY, help="directory of the four files of Fashion-MNIST")
    parser.add_argument("--cache", type=Path, default=CACHE, help="directory of the trained weights")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--networks", nargs="+", choices=list(EPOCHS), default=list(EPOCHS))
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    train_set, test_set = load(options.data, EXAMPLES)
    for seed in options.seeds:
        for name in options.networks:
            model = trained(name, seed, train_set, options.cache)
            loss, accuracy = evaluate(model, test_set)
            print(json.dumps({"network": name, "seed": seed, "loss": loss, "accuracy": accuracy}), flush=True)


if __name__ == "__main__":
    main()
