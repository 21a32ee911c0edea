"""The tables of the benchmark of splitting, from its numbers alone."""

from typing import Any

import torch
from torch import Tensor

from bench.experiments.split_fashion_tables import table
from bench.split.layers import LAYERS
from bench.table import duration, number

Found = dict[str, Any]
SHARE = 0.3  # of the units, with the lowest eigenvalues, is chosen
AIMS = {"streaming": 20.0, "published": 100.0}


def report(found: Found) -> str:
    head = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    parts = [f"{head}."]
    if found["pairs"]:
        parts += ["## Lowest eigenpairs of one layer", _about(found), pairs(found["pairs"])]
    if "growth" in found:
        parts += ["## A whole growth step", growth(found["growth"])]
    if lines := aims(found):
        parts += ["## Aims", "\n".join(f"- {line}" for line in lines)]
    return "\n\n".join(parts) + "\n"


def _about(found: Found) -> str:
    return (
        "Process time of one thread, each route in a process of its own; *memory* is what its peak rose by. Routes "
        f"that go unit by unit had {found['limit']:g} s, and their time is extrapolated from the units done; errors, "
        f"ranks and overlap are of these units then. What had nothing after {found['patience']:g} s says so. Ours "
        "contains the network's forward and backward; the others begin with patches, pre-activations and gradients, "
        "which took them one too. Held to eigenvalues in float64, and behind a depthwise layer to our own, converged "
        "further; *error*: the largest, relative to the layer's largest |λ_min|; *overlap*: of the "
        f"{100 * SHARE:.0f} % of units with the lowest."
    )


def pairs(layers: dict[str, Found]) -> str:
    head = [
        "layer",
        "route",
        "time",
        "units done",
        "memory",
        "error of λ_min",
        "rank correlation",
        "overlap",
        "ours is",
    ]
    rows = []
    for name, routes in layers.items():
        own = routes["netsculpt"]
        for route, row in routes.items():
            if route == "exact":
                continue
            if "error" in row:
                rows.append([LAYERS[name].title, route, row["error"], *[""] * 6])
                continue
            if not row["done"]:
                stopped = f"stopped after {duration(row['seconds'])}, before its 10 passes"
                rows.append([LAYERS[name].title, route, stopped, *[""] * 6])
                continue
            quality = judged(routes["exact"], row)
            faster = "" if route == "netsculpt" or "error" in own else f"{row['seconds'] / own['seconds']:.3g}× as fast"
            how = f" ({own['route']}, {own['products']} products)" if route == "netsculpt" else ""
            done = f"{row['done']} of {LAYERS[name].units}"
            cells = [duration(row["seconds"]), done, f"{row['bytes'] / 2**20:.0f} MiB", *quality, faster]
            rows.append([LAYERS[name].title, route + how, *cells])
    return table(head, rows)


def judged(exact: Found, row: Found) -> list[str]:
    if "error" in exact or not row["values"]:
        return ["-", "-", "-"]
    truth = torch.tensor(exact["values"][: row["done"]]).double()
    values = torch.tensor(row["values"]).double()
    error = float((values - truth).abs().max() / truth.abs().max())
    return [
        f"{error:.1e}",
        *(("-", "-") if len(values) < 3 else (f"{rank(values, truth):.4f}", f"{overlap(values, truth):.3f}")),
    ]


def rank(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([each.argsort().argsort().double() for each in (a, b)]))[0, 1])


def overlap(a: Tensor, b: Tensor) -> float:
    count = max(1, round(SHARE * len(a)))
    chosen = [set(each.argsort()[:count].tolist()) for each in (a, b)]
    return len(chosen[0] & chosen[1]) / count


def growth(row: Found) -> str:
    if "error" in row:
        return row["error"]
    parts = ", ".join(f"{name} {duration(row[name])}" for name in ("measure", "spectra", "plan"))
    return (
        f"16 convolutions of 16 channels, 2 batches of 128 pictures of 32 × 32: {duration(row['total'])} ({parts}), "
        f"{number(row['total'] / row['training'])} times a training step of one batch of 128, "
        f"{duration(row['training'])}. Rank correlation with explicit matrices: {row['rank']:.4f}.\n\n"
        "Which way the cost model of `routes.py` took for each layer, and what both take:\n\n"
        + table(
            ["layer", "explicit", "products", "taken", ""], [_way(name, each) for name, each in row["routes"].items()]
        )
    )


def _way(name: str, row: Found) -> list[str]:
    ways = ("explicit", "products")
    worse = row[row["chosen"]] / min(row[way] for way in ways)
    return [
        name,
        *(duration(row[way]) for way in ways),
        row["chosen"],
        "the quicker" if worse == 1 else f"{worse:.2g}×",
    ]


def aims(found: Found) -> list[str]:
    lines = []
    for name, routes in found["pairs"].items():
        own = routes["netsculpt"]
        if "error" in own:
            continue
        for route, least in AIMS.items():
            row, wanted = routes[route], least if LAYERS[name].large else 1.0
            if "error" in row:
                lines.append(f"{LAYERS[name].title}, {wanted:g}× {route}: not told, it has no time: {row['error']}")
                continue
            ratio = row["seconds"] / own["seconds"]
            lines.append(
                f"{LAYERS[name].title}, {wanted:g}× {route}: {ratio:.3g}×, {'met' if ratio >= wanted else 'missed'}"
            )
    if "error" not in found.get("growth", {"error": ""}):
        row = found["growth"]
        ratio = row["total"] / row["training"]
        verdict = "met" if ratio < 15 and row["rank"] >= 0.99 else "missed"
        lines.append(
            f"a growth step under 15 training steps at rank correlation 0.99: {ratio:.3g}, {row['rank']:.4f}, {verdict}"
        )
    return lines
