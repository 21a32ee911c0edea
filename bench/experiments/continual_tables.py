"""Tables of what `continual_mnist` measured."""

from collections.abc import Sequence
from typing import Any

WAYS = ("pool", "network per task", "narrow network per task", "fine-tuning", "EWC")


def report(lines: Sequence[dict[str, Any]], machine: dict[str, str]) -> str:
    """Markdown: every way's accuracy, forgetting and size by sequence, and how the pool grew."""
    seeds = len({line["seed"] for line in lines})
    parts = [
        f"# Continual learning, {seeds} seeds",
        "; ".join(f"{name} {value}" for name, value in machine.items()),
        "Accuracies on test pictures are means over tasks after the last one, then over seeds, ± the deviation between "
        "seeds. Forgetting, in points: what a task had when it was learnt less what it has in the end. Numbers: "
        "parameters and running statistics that are kept. Seconds of process time.",
        outcomes(lines),
        "## How the pool grew",
        growth(lines),
    ]
    return "\n\n".join(parts) + "\n"


def outcomes(lines: Sequence[dict[str, Any]]) -> str:
    """One row for every sequence and way."""
    rows = ["| tasks | way | accuracy | forgetting | worst | numbers | seconds |", "|---|---|---:|---:|---:|---:|---:|"]
    for sequence in dict.fromkeys(line["sequence"] for line in lines):
        for way in WAYS:
            own = [line for line in lines if (line["sequence"], line["way"]) == (sequence, way)]
            if not own:
                continue
            worst = max((line["most forgotten"] for line in own), key=abs)
            name = f"{way}, λ = {own[0]['strength']:g}" if "strength" in own[0] else way
            cells = [
                spread([line["accuracy"] for line in own]),
                points(_mean([line["forgetting"] for line in own])),
                points(worst),
                f"{_mean([line['size'] for line in own]):,.0f}",
                f"{_mean([line['seconds'] for line in own]):.0f}",
            ]
            rows.append(f"| {sequence} | {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def growth(lines: Sequence[dict[str, Any]]) -> str:
    """One row for every task of the pool's, by seed the first one."""
    rows = [
        "| tasks | task | by reuse alone | in the end | unlocked | new | pool's parameters |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for line in lines:
        if line["way"] != "pool" or line["seed"] != min(each["seed"] for each in lines):
            continue
        for task in line["tasks"]:
            moves = [str(sum(each[kind] for each in task["rounds"])) for kind in ("unlocked", "new")]
            before, after = task["params"]
            rows.append(
                f"| {line['sequence']} | {task['name']} | {task['reused']:.2%} | {task['accuracy']:.2%} | "
                f"{' | '.join(moves)} | {before:,} → {after:,} |"
            )
    return "\n".join(rows)


def spread(values: Sequence[float]) -> str:
    """Mean and deviation in percent."""
    middle = _mean(values)
    deviation = (sum((each - middle) ** 2 for each in values) / max(len(values) - 1, 1)) ** 0.5
    return f"{100 * middle:.2f} ± {100 * deviation:.2f} %"


def points(value: float) -> str:
    """Percentage points; a zero that is one says so."""
    return "0" if value == 0 else f"{100 * value:.2f}"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
