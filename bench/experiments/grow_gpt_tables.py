"""Tables and figure of the growing GPT, from its numbers alone.

`python -m bench.experiments.grow_gpt_tables FILE --markdown FILE --figure FILE`
"""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.experiments.grow_gpt_figure import draw
from bench.experiments.split_fashion_tables import average, by_arm, spread, table

Found = dict[str, Any]


def report(found: Found) -> str:
    head = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    arms = by_arm({"runs": found["lines"]})
    return "\n\n".join([f"{head}.", setting(found), finals(arms), shapes(arms), growths(arms)]) + "\n"


def setting(found: Found) -> str:
    text, seeds = found["text"], len({line["seed"] for line in found["lines"]})
    return (
        f"Shakespeare's works: {text['train']:,} characters to train on, {text['held']:,} of other works held out, "
        f"{text['of']} different ones; windows of {found['context']}, 32 in a batch. {seeds} seeds, mean ± standard "
        f"deviation. Four stages of {found['steps']} steps with growth between; AdamW, its rate level and in the last "
        "quarter of all steps down to zero. Losses are nats a character on held-out text. Compute is "
        "multiply-accumulates of forward passes in training; growing counts as many as training would have done in "
        "its time. Seconds are process time of one thread."
    )


def finals(arms: dict[str, list[Found]]) -> str:
    head = [
        "arm",
        "parameters",
        "MACs of a window",
        "steps",
        "held-out loss",
        "compute, 10¹² MACs",
        "seconds",
        "growing",
    ]
    rows = []
    for arm, runs in arms.items():
        means = {name: average(run[name] for run in runs) for name in ("params", "macs", "steps", "compute", "seconds")}
        rows.append(
            [
                arm,
                *(f"{means[name]:,.0f}" for name in ("params", "macs", "steps")),
                spread([run["loss"] for run in runs], 4),
                f"{means['compute'] / 1e12:.3f}",
                f"{means['seconds']:.0f}",
                f"{average(run['growing'] for run in runs):.0f}",
            ]
        )
    return table(head, rows)


def shapes(arms: dict[str, list[Found]]) -> str:
    """Of every block its heads, its hidden units, and those of layers inserted behind it."""
    seeds = [f"shape, seed {run['seed']}" for run in next(iter(arms.values()))]
    return table(["arm", *seeds], [[arm, *(" · ".join(run["shape"]) for run in runs)] for arm, runs in arms.items()])


def growths(arms: dict[str, list[Found]]) -> str:
    rows = []
    for arm, runs in arms.items():
        for seed, each in ((run["seed"], each) for run in runs for each in run["growths"]):
            kinds = ", ".join(f"{kind} {count}" for kind, count in each["kinds"].items())
            predicted = "none" if each["predicted"] is None else f"{each['predicted']:+.4f}"
            held = each["held_after"] - each["held_before"]
            numbers = [predicted, f"{each['measured']:+.4f}", f"{held:+.4f}"]
            rows.append([arm, str(seed), str(each["step"]), f"{each['params']:,}", kinds, *numbers])
    return table(["arm", "seed", "step", "parameters", "grown by", "predicted", "measured", "held-out text"], rows)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.grow_gpt_tables", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--markdown", type=Path, help="write the tables to this file too")
    parser.add_argument("--figure", type=Path, help="draw to this PNG file; needs matplotlib")
    options = parser.parse_args(given)
    found = json.loads(options.file.read_text(encoding="utf-8"))
    text = report(found)
    print(text)
    if options.markdown:
        options.markdown.write_text(text, encoding="utf-8")
    if options.figure:
        draw(found["lines"], options.figure)


if __name__ == "__main__":
    main()
