"""Do integrated gradients choose better candidates than slopes at the end of the path, or at its origin?

`python -m bench.experiments.grow_toy --data DIR`: a VGG-like network of 8 channels on Fashion-MNIST, trained for an
epoch; splits and new units are attached and tuned together, and a few of them are chosen by each score. What is
measured is the loss of held-out pictures with only the chosen ones switched on, before they are tuned again; that no
choice sees. Two minutes on one thread.
"""

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import netsculpt as ns
from bench.experiments.data import DIRECTORY, Images, load
from bench.experiments.split_fashion_tables import table
from bench.experiments.training import BATCH, optimizer_of, train
from netsculpt.measure.batches import Batch
from netsculpt.methods.growing.overlay import Gates, Overlay
from netsculpt.methods.growing.scores import Scores, end_points, integrated, loss_with
from netsculpt.methods.growing.selection import select
from netsculpt.methods.growing.tuning import draw, tune

WIDTH, LAYERS, EXAMPLES = 8, 4, 6_400
CHOSEN, TUNED = (10, 20, 40), (10, 100)  # candidates, and batches that tune them
Choose = Callable[[Overlay, Sequence[Batch], int, int], Gates]


def by(score: Callable[[Overlay, Sequence[Batch]], Scores]) -> Choose:
    """The best of all by a score, whatever its sign."""

    def choose(overlay: Overlay, batches: Sequence[Batch], units: int, seed: int) -> Gates:
        scores = score(overlay, batches)
        most = max(float(each.max()) for each in scores.values()) + 1e-9
        return select(overlay, {key: each - most for key, each in scores.items()}, ns.Limits(units=units))[0]

    return choose


def at_random(overlay: Overlay, batches: Sequence[Batch], units: int, seed: int) -> Gates:
    generator = torch.Generator().manual_seed(seed)
    drawn = {key: torch.rand(len(gate), generator=generator).double() for key, gate in overlay.on().items()}
    return by(lambda *_: drawn)(overlay, batches, units, seed)


def in_rounds(overlay: Overlay, batches: Sequence[Batch], units: int, seed: int) -> Gates:
    """A quarter at a time, the rest scored anew with those on."""
    gates: Gates = overlay.off()
    for number in range(4):
        scores = integrated(overlay, batches, F.cross_entropy, start=gates)
        limits = ns.Limits(units=units)
        gates, _ = select(overlay, scores, limits, accepted=gates, share=1 / (4 - number))
    return gates


WAYS: dict[str, Choose] = {
    "integrated, joint path, 3 nodes": by(lambda overlay, data: integrated(overlay, data, F.cross_entropy)),
    "the same, in 4 rounds": in_rounds,
    "integrated, coordinate path, 3 nodes": by(
        lambda overlay, data: integrated(overlay, data[:1], F.cross_entropy, path="coordinate")
    ),
    "end point": by(lambda overlay, data: end_points(overlay, data, F.cross_entropy)),
    "origin": by(lambda overlay, data: end_points(overlay, data, F.cross_entropy, at=0.0)),
    "random": at_random,
}


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for number in range(LAYERS):
        layers += [nn.Conv2d(WIDTH if number else 1, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 10))


def trial(seed: int, data: Images, tuned: int) -> dict[str, list[float]]:
    """Losses with nothing on, with all on, and with those that each way chooses."""
    model = network(seed)
    train(model, optimizer_of(model), data, 1, seed)
    sculptor = ns.Sculptor(model.eval(), data.pictures[:2])
    stats = sculptor.measure(data.batches(BATCH), F.cross_entropy, for_="grow")
    axes = [axis.name for axis in stats.graph]
    overlay = Overlay(model, stats.graph, axes=axes, kinds=("split", "new"), new_units=dict.fromkeys(axes, WIDTH))
    half = len(stats.data) // 2
    tuning = ns.Tuning(batches=tuned)
    draw(overlay, tuning, seed)
    tune(overlay, stats.data[:half], F.cross_entropy, tuning)
    judge, fresh = stats.data[half : half + 4], stats.data[half + 4 :]
    found = {
        "nothing on": [loss_with(overlay, fresh, F.cross_entropy, overlay.off())] * len(CHOSEN),
        "all on": [loss_with(overlay, fresh, F.cross_entropy)] * len(CHOSEN),
    }
    for name, choose in WAYS.items():
        gates = [choose(overlay, judge, units, seed) for units in CHOSEN]
        found[name] = [loss_with(overlay, fresh, F.cross_entropy, each) for each in gates]
    return found


def report(found: dict[int, list[dict[str, list[float]]]]) -> str:
    rows = []
    for name in next(iter(found.values()))[0]:
        row = [name]
        for trials in found.values():
            row += [f"{statistics.mean(each):.3f}" for each in zip(*(trial[name] for trial in trials), strict=True)]
        rows.append(row)
    head = ["chosen by"] + [f"{units} after {tuned} batches" for tuned in found for units in CHOSEN]
    seeds = len(next(iter(found.values())))
    return (
        f"Loss of held-out pictures with only the chosen candidates on, mean of {seeds} seeds; "
        f"{LAYERS} layers of {WIDTH} channels, {2 * WIDTH * LAYERS} candidates.\n\n{table(head, rows)}\n"
    )


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.grow_toy", description=__doc__)
    parser.add_argument("--data", type=Path, default=DIRECTORY, help="directory of the four files of Fashion-MNIST")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    data, _ = load(options.data, EXAMPLES)
    found = {tuned: [trial(seed, data, tuned) for seed in range(options.seeds)] for tuned in TUNED}
    text = report(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
