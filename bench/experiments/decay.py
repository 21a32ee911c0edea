"""How fast does the error of imitating a layer fall with the units that are kept, and as the theory says?

`python -m bench.experiments.decay`: a two-layer network, and one trained on Fashion-MNIST; one thread, a minute.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from bench import machine
from bench.experiments.data import DIRECTORY, load
from bench.experiments.decay_descents import STEPS, descents, geometry
from bench.experiments.decay_figure import draw
from bench.experiments.decay_layers import EPOCHS, PICTURES, WIDTHS, Layer, convolutional, two_layers
from bench.experiments.decay_tables import report


def described(layer: Layer, steps: int) -> dict[str, Any]:
    """All that is drawn and tabulated of a layer."""
    found = [each._asdict() for each in descents(layer.gram, steps)]
    return {"title": layer.title, "geometry": geometry(layer.gram)._asdict(), "descents": found}


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.decay", description=__doc__)
    parser.add_argument("--data", type=Path, default=DIRECTORY, help="directory of the four files of Fashion-MNIST")
    parser.add_argument("--examples", type=int, default=12_000, help="training pictures, always the same ones")
    parser.add_argument("--units", type=int, default=1000, help="of the two-layer network")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    parser.add_argument("--figure", type=Path, help="draw to this PNG file; needs matplotlib")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    options = arguments(given)
    torch.set_num_threads(1)
    data, _ = load(options.data, options.examples)
    layers = [*two_layers(options.units), convolutional(data)]
    found = {
        "machine": machine.describe("cpu", threads=1),
        "examples": options.examples,
        "network": {"widths": WIDTHS, "epochs": EPOCHS, "pictures": PICTURES},
        "layers": [described(layer, options.steps) for layer in layers],
    }
    if options.json:
        options.json.write_text(json.dumps(found) + "\n")
    text = report(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)
    if options.figure:
        draw(found, options.figure)


if __name__ == "__main__":
    main()
