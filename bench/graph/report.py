"""The tables, out of what the children found, and the aims with whether they are met."""

from typing import Any

from bench.graph.models import DEPTHS, FAMILIES, MODELS
from bench.table import duration, ratio

Found = dict[str, Any]
GOALS = ("resnet50", "vit_b_16", "vit_own", "gpt2", "gpt2_own")


def report(found: Found) -> str:
    parts = [", ".join(f"{name} {value}" for name, value in found["machine"].items()) + "."]
    parts.append(
        f"Process time of one thread, the quickest of {found['repeats']} runs, each in a process of its own and with "
        f"{found['limit']:g} s at most; what crashed or took longer says so. Random weights, images of 224 × 224, "
        "sentences of 64 tokens."
    )
    for section, write in (("tracing", tracing), ("depth", depth), ("step", steps)):
        if found.get(section):
            parts.append(write(found[section]))
    if "peer" in found:
        parts.append(found["peer"] if isinstance(found["peer"], str) else peer(found))
    if lines := aims(found):
        parts.append("## Aims\n\n" + "\n".join(f"- {line}" for line in lines))
    return "\n\n".join(parts) + "\n"


def tracing(rows: dict[str, Found]) -> str:
    head = ["model", "nodes", "axes", "can change", "first call", "again", "export", "analysis", "probe"]
    body = [[MODELS[name].title, *_traced(row)] for name, row in rows.items()]
    text = (
        "From a model and two examples to its graph. *Export* is torch's, *analysis* ours, from the program to all "
        "axes with their places; the *probe* runs the model in shapes alone, with other sizes, to see whether its code "
        "follows. The first call in a process also imports what torch needs for it."
    )
    return f"## Tracing\n\n{text}\n\n{_table(head, body)}"


def _traced(row: Found) -> list[str]:
    if "error" in row:
        return ["", "", "", _failed(row), "", "", "", ""]
    seconds = [duration(row[part]) for part in ("first", "total", "export", "analysis", "probe")]
    return [str(row["nodes"]), str(row["axes"]), str(row["sculptable"]), *seconds]


def depth(rows: dict[str, Found]) -> str:
    head = ["model", "layers", "nodes", "time", "per node", "export", "analysis", "probe"]
    body = []
    for family, (title, _) in FAMILIES.items():
        for layers in DEPTHS:
            row = rows.get(f"{family}@{layers}")
            if row is not None:
                body.append([title, str(layers), *_per_node(row)])
    return f"## Time against depth\n\nWidth 64; the parts per node of the program.\n\n{_table(head, body)}"


def _per_node(row: Found) -> list[str]:
    if "error" in row:
        return ["", _failed(row), "", "", "", ""]
    parts = [duration(row[part] / row["nodes"]) for part in ("total", "export", "analysis", "probe")]
    return [str(row["nodes"]), duration(row["total"]), *parts]


def steps(rows: dict[str, Found]) -> str:
    head = ["model", "edits", "scores and plan", "apply", "apply and check", "parameters"]
    body = [[MODELS[name].title, *_stepped(row)] for name, row in rows.items()]
    text = (
        "Half of the units of every axis that can change, by the sum of squares of all their slices. The check runs "
        "the example inputs for real, before and after."
    )
    return f"## Applying a plan for the whole model\n\n{text}\n\n{_table(head, body)}"


def _stepped(row: Found) -> list[str]:
    if "error" in row:
        return ["", _failed(row), "", "", ""]
    seconds = [duration(row[part]) for part in ("plan", "apply", "checked")]
    return [str(row["edits"]), *seconds, _parameters(row)]


def peer(found: Found) -> str:
    theirs, ours = found["peer"], found
    title = f"torch-pruning {theirs['version']}"
    head = ["model", "groups, theirs", "axes, ours", "", "step, theirs", "step, ours", ""]
    head += ["parameters left, theirs", "ours", "tracing, theirs", "ours"]
    body = []
    for name, groups in theirs["groups"].items():
        step, traced, own = theirs["step"][name], ours["tracing"][name], ours["step"][name]
        axes = traced if "error" in traced else traced | {"total": traced["analysis"]}
        before = traced if "error" in traced else traced | {"total": traced["total"] - traced["analysis"]}
        body.append(
            [
                MODELS[name].title,
                *_against(groups, axes),
                *_against(step, own),
                *(_millions(each.get("after")) for each in (step, own)),
                duration(groups["tracing"]) if "tracing" in groups else "",
                _seconds(before),
            ]
        )
    text = (
        f"Theirs on torch {theirs['torch']}. *Groups*: `DependencyGraph.get_all_groups()` with all convolutions and "
        "linear layers as roots, against our analysis. *Step*: `BasePruner(pruning_ratio=0.5).step()` with "
        "`GroupMagnitudeImportance`, the last linear layer's outputs kept, against scores, plan and `apply` without "
        "its check. *Tracing* apart: theirs runs the model once for real with one image and builds its graph; ours is "
        "torch.export and the probe, which they have no counterpart of."
    )
    return f"## Against {title}\n\n{text}\n\n{_table(head, body)}"


def _against(theirs: Found, ours: Found) -> list[str]:
    return [_seconds(theirs), _seconds(ours), ratio("", _ratio(theirs, ours)).strip()]


def _ratio(theirs: Found, ours: Found) -> float | None:
    return None if "error" in theirs or "error" in ours else theirs["total"] / ours["total"]


def aims(found: Found) -> list[str]:
    """What the graph was to reach, in one sentence each with what it did."""
    lines = []
    tracing, step = found.get("tracing", {}), found.get("step", {})
    for name in GOALS:
        if name in tracing:
            title = MODELS[name].title
            lines.append(f"{title} traced in less than 3 s: {_verdict(tracing[name], 'total', 3)}")
    if "resnet50" in step:
        for part, words in (("apply", "applied"), ("checked", "applied and checked")):
            sentence = f"a plan for every layer of ResNet-50 {words} in less than 0.5 s"
            lines.append(f"{sentence}: {_verdict(step['resnet50'], part, 0.5)}")
    if isinstance(found.get("peer"), dict):
        for name in ("densenet121", "vgg16_bn"):
            if name in found["peer"]["step"]:
                lines += _ten_times(name, found)
    return lines


def _ten_times(name: str, found: Found) -> list[str]:
    traced, title = found["tracing"][name], MODELS[name].title
    axes = traced if "error" in traced else traced | {"total": traced["analysis"]}
    pairs = {
        "groups": (found["peer"]["groups"][name], axes),
        "prune step": (found["peer"]["step"][name], found["step"][name]),
    }
    lines = []
    for what, (theirs, ours) in pairs.items():
        times = _ratio(theirs, ours)
        said = "not measured" if times is None else f"{times:.1f} times, {'met' if times >= 10 else 'missed'}"
        lines.append(f"{title}, {what} ten times as fast as torch-pruning: {said}")
    return lines


def _verdict(row: Found, part: str, limit: float) -> str:
    if "error" in row:
        return f"{_failed(row)}, missed"
    return f"{duration(row[part])}, {'met' if row[part] < limit else 'missed'}"


def _seconds(row: Found) -> str:
    return _failed(row) if "error" in row else duration(row["total"])


def _failed(row: Found) -> str:
    place = f" ({row['place']})" if "place" in row else ""
    return f"{row['error']}{place}"


def _parameters(row: Found) -> str:
    return f"{_millions(row['before'])} → {_millions(row['after'])}"


def _millions(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:.2f} M"


def _table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
