"""The tables of `python -m bench.grow`."""

from typing import Any

from bench.experiments.split_fashion_tables import table
from bench.grow.layer import LAYERS
from bench.table import duration, number

Found = dict[str, Any]
WAYS = {"gradmax": "GradMax", "tiny": "TINY"}


def report(found: Found) -> str:
    head = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    about = (
        f"Statistics of one batch, and new units from them, beside {_peer(found)}, on the same weights and data; "
        f"process time of one thread, single precision, each side in a process of its own, the quickest of "
        f"{found['repeats']} runs after one that does not count. *Statistics* hold the forward and the backward pass; "
        "*plain* is a forward and backward pass alone. gromo makes the same statistics for both methods."
    )
    parts = [f"{head}.", about, _times(found), "## Angles", ANGLES, _angles(found)]
    if notes := _failures(found):
        parts += ["## Not compared", notes]
    return "\n\n".join(parts) + "\n"


ANGLES = (
    "The largest principal angle, in radians, between what the new units of both sides span: the outgoing weights of "
    "GradMax, and the incoming (with the bias) and outgoing ones of TINY. gromo is given `dtype=torch.float64` for its "
    "solution, so that with double precision only rounding is left."
)


def _peer(found: Found) -> str:
    sides = [each["peer"] for layer in found["layers"].values() for each in layer.values()]
    return next((f"gromo {side['gromo']} on torch {side['torch']}" for side in sides if "gromo" in side), "gromo")


def _times(found: Found) -> str:
    rows = []
    for name, layer in found["layers"].items():
        own, peer = layer["float32"]["ours"], layer["float32"]["peer"]
        if "error" in own:
            continue
        for way, title in WAYS.items():
            row = [LAYERS[name].title, title, duration(own["plain"])]
            row += [duration(own[way]["statistics"]), _times_of(own[way]["statistics"], own["plain"])]
            row += [duration(own[way]["solve"])]
            if "error" in peer:
                row += ["", "", ""]
            else:
                row += [duration(peer[way]["statistics"]), _times_of(peer[way]["statistics"], own["plain"])]
                row += [duration(peer[way]["solve"])]
            rows.append(row)
    head = ["layers", "method", "plain", "statistics", "to plain", "solution"]
    return table([*head, "gromo's statistics", "to plain", "solution"], rows)


def _times_of(seconds: float, least: float) -> str:
    return f"{number(seconds / least)}×"


def _angles(found: Found) -> str:
    rows = [
        [LAYERS[name].title, dtype, *(f"{each['angles'][kind]:.1e}" for kind in ("gradmax out", "tiny in", "tiny out"))]
        for name, layer in found["layers"].items()
        for dtype, each in layer.items()
        if "angles" in each
    ]
    return table(["layers", "precision", "GradMax, outgoing", "TINY, incoming", "TINY, outgoing"], rows)


def _failures(found: Found) -> str:
    return "\n".join(
        f"- {LAYERS[name].title}, {dtype}, {side}: {each[side]['error']}"
        for name, layer in found["layers"].items()
        for dtype, each in layer.items()
        for side in ("ours", "peer")
        if "error" in each[side]
    )
