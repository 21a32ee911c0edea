"""A whole growth step on a VGG-19-like network with 16 channels in every layer, against one training step."""

import json
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from netsculpt import Budget, Sculptor, split
from netsculpt.measure import Statistics
from netsculpt.methods.splitting import spectra
from netsculpt.methods.splitting.routes import Route

POOLED = (2, 2, 4, 4, 4)  # convolutions before each pooling
CHANNELS, BATCH, BATCHES = 16, 128, 2


def network() -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    before = 3
    for count in POOLED:
        for _ in range(count):
            layers += [nn.Conv2d(before, CHANNELS, 3, padding=1, bias=False), nn.BatchNorm2d(CHANNELS), nn.SiLU()]
            before = CHANNELS
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(CHANNELS, 10))


def timed(run: Callable[[], object], repeats: int) -> float:
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    torch.set_num_threads(1)
    model = network()
    batches = [(torch.randn(BATCH, 3, 32, 32), torch.randint(10, (BATCH,))) for _ in range(BATCHES)]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(batches[0][0]), batches[0][1]).backward()
        optimizer.step()

    for _ in range(2):
        step()  # running statistics that are not those of no data
    training = timed(step, 5)
    sculptor = Sculptor(model.eval(), batches[0][0][:2])
    parts: dict[str, float] = {"total": float("inf")}
    for _ in range(3):
        start = time.process_time()
        stats = sculptor.measure(batches, F.cross_entropy)
        measured = time.process_time()
        found = spectra(stats, ends="lowest")
        solved = time.process_time()
        plan = split(stats, Budget(params="+30%"), spectrum=found)
        end = time.process_time()
        if end - start < parts["total"]:
            parts = {"total": end - start, "measure": measured - start, "spectra": solved - measured}
            parts["plan"] = end - solved
    exact = spectra(stats, tol=1e-5, route="explicit")
    pairs = [torch.stack([found[name].values[:, 0], exact[name].values[:, 0]]) for name in found]
    ranks = torch.cat(pairs, 1).double().argsort(1).argsort(1).double()
    result = {"training": training, **parts, "edits": len(plan), "rank": float(torch.corrcoef(ranks)[0, 1])}
    routes = {name: both(stats, name) | {"chosen": each.route} for name, each in found.items()}
    print(json.dumps({**result, "routes": routes}))


def both(stats: Statistics, axis: str) -> dict[str, float]:
    """Seconds of both ways to the eigenpairs of one layer."""
    ways: tuple[Route, ...] = ("explicit", "products")
    return {way: timed(lambda way=way: spectra(stats, [axis], ends="lowest", route=way), 3) for way in ways}


if __name__ == "__main__":
    main()
