"""The tables of the experiment, from its numbers alone."""

import statistics
from collections.abc import Iterable
from typing import Any

Found = dict[str, Any]


def report(found: Found) -> str:
    arms = by_arm(found)
    head = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    text = (
        f"Fashion-MNIST: {found['examples']:,} training pictures, all 10,000 test pictures, {found['seeds']} seeds, "
        f"mean ± standard deviation over them. Four stages of {found['epochs']} epochs with three growths between, "
        "each stage with its own half cosine from 0.1 to 0; networks that never grow are trained as many epochs along "
        "one, but where the table says so. SGD, momentum 0.9, "
        "weight decay 1e-4, batches of 128. Seconds are process time of one thread."
    )
    parts = [f"{head}.", text, "## Final networks", finals(arms), "## Accuracy as they grow", path(arms)]
    parts += ["## Predicted and measured changes of the loss", growths(arms), "## Lengths tried", lengths(arms)]
    return "\n\n".join(parts) + "\n"


def by_arm(found: Found) -> dict[str, list[Found]]:
    arms: dict[str, list[Found]] = {}
    for run in found["runs"]:
        arms.setdefault(run["arm"], []).append(run)
    return arms


def finals(arms: dict[str, list[Found]]) -> str:
    head = ["arm", "parameters", "MACs", "test accuracy", "test loss", "training loss", "seconds", "of which growing"]
    rows = []
    for arm, runs in arms.items():
        last = [run["stages"][-1] for run in runs]
        rows.append(
            [
                arm,
                f"{average(each['params'] for each in last):,.0f}",
                f"{average(each['macs'] for each in last):,.0f}",
                f"{spread([100 * each['test_accuracy'] for each in last], 2)} %",
                spread([each["test_loss"] for each in last], 4),
                spread([each["train_loss"] for each in last], 4),
                f"{average(each['seconds'] for each in last):.1f}",
                f"{average(each['growing'] for each in last):.1f}",
            ]
        )
    widths = [[arm, *("-".join(map(str, run["stages"][-1]["widths"])) for run in runs)] for arm, runs in arms.items()]
    seeds = [f"widths, seed {run['seed']}" for run in next(iter(arms.values()))]
    return f"{table(head, rows)}\n\n{table(['arm', *seeds], widths)}"


def path(arms: dict[str, list[Found]]) -> str:
    rows = []
    for arm, runs in arms.items():
        for number in range(len(runs[0]["stages"])):
            stages = [run["stages"][number] for run in runs]
            rows.append(
                [
                    arm,
                    str(stages[0]["epochs"]),
                    f"{average(each['params'] for each in stages):,.0f}",
                    f"{average(each['macs'] for each in stages):,.0f}",
                    f"{spread([100 * each['test_accuracy'] for each in stages], 2)} %",
                ]
            )
    return table(["arm", "epochs", "parameters", "MACs", "test accuracy"], rows)


def growths(arms: dict[str, list[Found]]) -> str:
    rows = []
    for arm, runs in arms.items():
        for run in runs:
            for number, each in enumerate(run["growths"], 1):
                ratio = each["measured"] / each["predicted"] if each["predicted"] else float("nan")
                units = ", ".join(f"{axis}: {count}" for axis, count in each["units"].items())
                numbers = [f"{each['step']:g}", f"{each['predicted']:+.2e}", f"{each['measured']:+.2e}", f"{ratio:.2f}"]
                rows.append([arm, str(run["seed"]), str(number), units, "-".join(map(str, each["widths"])), *numbers])
    head = ["arm", "seed", "growth", "units split by axis", "widths", "length", "predicted", "measured", "ratio"]
    return table(head, rows)


def lengths(arms: dict[str, list[Found]]) -> str:
    """Measured over predicted at every length, over all growths of an arm."""
    rows = []
    for arm, runs in arms.items():
        tried: dict[str, list[float]] = {}
        for growth in (each for run in runs for each in run["growths"]):
            for length, (predicted, measured) in growth["losses"].items():
                tried.setdefault(str(length), []).append(measured / predicted)
        rows += [
            [arm, length, f"{statistics.median(ratios):.3f}"] for length, ratios in tried.items() if len(tried) > 1
        ]
    return table(["arm", "length", "measured / predicted, median"], rows)


def average(values: Iterable[float]) -> float:
    return statistics.fmean(values)


def spread(values: list[float], digits: int) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{average(values):.{digits}f} ± {deviation:.{digits}f}"


def table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))
