"""The tables of the benchmark of pruning, from its numbers alone."""

from typing import Any

from bench.experiments.split_fashion_tables import table
from bench.prune.layer import KERNEL, LAYERS
from bench.table import duration, number

Found = dict[str, Any]
MODES = {"least_squares": "least squares", "line_search": "line search", "uniform": "fixed step"}
SCORES = {"taylor": "GroupTaylorImportance", "hessian": "GroupHessianImportance"}


def report(found: Found) -> str:
    layer = LAYERS[found["layer"]]
    head = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    about = (
        f"{layer.keep} of {layer.units} units, which a convolution of {KERNEL} × {KERNEL} with {layer.units} outputs "
        f"takes, on {layer.pictures} pictures of {layer.size} × {layer.size}: {layer.positions:,} positions. Random "
        f"weights and inputs. Process time of one thread, each way in a process of its own, the quickest of "
        f"{found['repeats']} where it is not said otherwise; *memory* is what the peak rose by."
    )
    parts = [f"{head}.", about, "## The whole choice", _whole(found), _notes(found)]
    parts += ["## Statistics", _statistics(found), "## Selection", _selection(found)]
    if notes := _failures(found):
        parts += ["## No time", notes]
    return "\n\n".join(parts) + "\n"


def _whole(found: Found) -> str:
    """Statistics and selection together, of every way that has both."""
    layer, own = LAYERS[found["layer"]], found["local"]
    if "error" in own:
        return "No time of netsculpt's own, see below."
    least = own["measure"] + own["select"]["least_squares"]
    rows = [["netsculpt, local, least squares", duration(own["measure"]), duration(own["select"]["least_squares"])]]
    rows[0] += [duration(least), "", _mebibytes(own)]
    if "error" not in (plain := found["plain"]):
        seconds = plain["measure"], plain["select"]["least_squares"]
        rows.append(["plain torch, the same choice", *_parts(*seconds, least), _mebibytes(plain)])
    if "error" not in (step := found["global"]):
        total = step["step"] * step["steps"]
        cells = ["", f"{step['steps']} × {duration(step['step'])}", f"{duration(total)}, extrapolated"]
        rows.append(["netsculpt, global", *cells, _ratio(total, least), _mebibytes(step)])
    if "error" not in (other := found["published"]):
        each = f"{layer.keep} × {other['candidates']} × {duration(other['forward'])}"
        cells = ["", each, f"{duration(other['total'])}, extrapolated", _ratio(other["total"], least)]
        rows.append(["published procedure", *cells, _mebibytes(other)])
    for name, title in SCORES.items():
        if "error" not in (row := found["peer"].get(name, {"error": ""})):
            rows.append([f"torch-pruning, {title}", *_parts(row["measure"], row["select"], least), _mebibytes(row)])
    return table(["way", "statistics", "selection", "together", "to netsculpt's", "memory"], rows)


def _parts(measured: float, selected: float, least: float) -> list[str]:
    total = measured + selected
    return [duration(measured), duration(selected), duration(total), _ratio(total, least)]


def _ratio(seconds: float, least: float) -> str:
    return f"{number(seconds / least)}×"


def _mebibytes(row: Found) -> str:
    return f"{row['memory'] / 2**20:.0f} MiB"


def _notes(found: Found) -> str:
    lines = [
        "*Plain torch* is `F.unfold`, XᵀX of all patches in float64 and a greedy loop in Python with a growing "
        "Cholesky factor. It runs the layers before; netsculpt runs the whole network and its loss.",
    ]
    if "error" not in (other := found["published"]):
        lines.append(
            f"*Published procedure*: in every step a forward pass of the network for each of {other['candidates']} "
            f"candidates, on all positions. {other['done']} passes were run, the total is their mean times all that "
            "the procedure needs; its accuracy tests after steps, and its fine-tuning, are not in it."
        )
    if "error" not in (step := found["global"]):
        lines.append(
            f"*Global*: in every step a backward pass of the suffix and {step['candidates'] + 1} forward passes of it, "
            "batched; one step was run, and its time is multiplied. It holds what the network answers, where local "
            "imitation holds what the next layer gets."
        )
    if "version" in found["peer"]:
        lines.append(
            f"torch-pruning {found['peer']['version']} on torch {found['peer']['torch']}. Its scores say how much the "
            "loss depends on each unit alone, and need one backward pass (Taylor) or, as its documentation has it, one "
            "of the whole batch for every picture (Hessian, run once): less is computed than for imitation."
        )
    elif isinstance(found["peer"].get("missing"), str):
        lines.append(found["peer"]["missing"])
    return "\n".join(f"- {line}" for line in lines)


def _statistics(found: Found) -> str:
    own, rate = found["local"], found["rates"]
    if "error" in own or "error" in rate:
        return "Not measured."
    share = own["flops"] / own["sums"] / rate["float64"]
    lines = [
        f"A pass of `measure`: {duration(own['measure'])}, of which the sums take {duration(own['sums'])}; the rest "
        "is the forward pass and its set-up.",
        f"The sums need {own['flops'] / 1e9:.0f} GFLOP, but for the border: pictures by shifted pictures, half of the "
        f"shifts by symmetry, and weights by weights: {own['flops'] / own['sums'] / 1e9:.1f} GFLOP/s, "
        f"{100 * share:.0f} % of the {rate['float64'] / 1e9:.1f} GFLOP/s of a matrix "
        f"product of 2048 in float64 (float32: {rate['float32'] / 1e9:.1f}).",
        f"Refit of the consumer on the kept units, with the run of both networks that it is fitted in, once: "
        f"{duration(own['refit'])}.",
    ]
    if "error" not in (plain := found["plain"]):
        same = sum(a == b for a, b in zip(own["order"], plain["order"], strict=True))
        lines.append(f"Of {len(own['order'])} choices by least squares, {same} are the same as those of plain torch.")
    return "\n".join(f"- {line}" for line in lines)


def _selection(found: Found) -> str:
    own, plain = found["local"], found["plain"]
    if "error" in own:
        return "Not measured."
    rows = []
    for mode, title in MODES.items():
        row = [title, duration(own["select"][mode])]
        if "error" in plain:
            row += ["", ""]
        else:
            row += [duration(plain["select"][mode]), _ratio(plain["select"][mode], own["select"][mode])]
        rows.append([*row, duration(own["curve"][mode])])
    steps = LAYERS[found["layer"]].keep
    head = ["method", f"ops.greedy_select, {steps} steps", "loop in Python", "to ours", "curve: all numbers of units"]
    return table(head, rows)


def _failures(found: Found) -> str:
    rows = {name: found[name] for name in ("rates", "local", "global", "plain", "published")}
    rows |= {f"torch-pruning, {name}": found["peer"].get(name, {}) for name in SCORES}
    return "\n".join(f"- {name}: {row['error']}" for name, row in rows.items() if "error" in row)
