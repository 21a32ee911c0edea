"""Markdown tables, and the numbers that go into them."""

import statistics
from collections.abc import Iterable, Sequence

from netsculpt.demo.records import Pruning, Round, Stage, Trial


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A padded table that also reads well as plain text; the first column is left-aligned, the others right."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [f"{c:<{w}}" if i == 0 else f"{c:>{w}}" for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return "| " + " | ".join(padded) + " |"

    rule = "|" + "|".join("-" * (w + 2) if i == 0 else "-" * (w + 1) + ":" for i, w in enumerate(widths)) + "|"
    return "\n".join([line(header), rule, *map(line, rows)])


def stage_table(trial: Trial) -> str:
    """Every stage of one trial."""
    header = ["stage", "widths", "parameters", "MACs", "train loss", "test accuracy"]
    return markdown(header, [_stage_row(stage) for stage in trial.stages])


def _stage_row(stage: Stage) -> list[str]:
    widths = "-".join(map(str, stage.widths))
    counts = [f"{stage.parameters:,}", f"{stage.macs:,}"]
    return [stage.name, widths, *counts, f"{stage.train_loss:.4f}", percent(stage.test_accuracy)]


def comparison_table(trials: Sequence[Trial], names: Sequence[str]) -> str:
    """Mean ± standard deviation over the trials of the stages in ``names``."""
    header = ["network", "parameters", "MACs", "training cost", "train loss", "test accuracy"]
    rows = []
    for name in names:
        stages = [stage_of(trial, name) for trial in trials]
        means = [f"{mean(s.parameters for s in stages):,.0f}", f"{mean(s.macs for s in stages):,.0f}"]
        cost = f"{mean(s.training_macs for s in stages) / 1e9:.2f} GMAC"
        loss = spread([s.train_loss for s in stages], "{:.4f}")
        rows.append([name, *means, cost, loss, spread([100 * s.test_accuracy for s in stages], "{:.2f}") + " %"])
    return markdown(header, rows)


def ladder_table(growth: Round) -> str:
    """Predicted and measured loss change for several steps; the remainder shrinks 16-fold when the step halves."""
    header = ["step ε", "predicted", "measured", "remainder", "remainder / ε⁴"]
    rows = [
        [
            f"{rung.step:g}",
            f"{rung.predicted:+.3e}",
            f"{rung.measured:+.3e}",
            f"{rung.measured - rung.predicted:+.3e}",
            f"{(rung.measured - rung.predicted) / rung.step**4:.3f}",
        ]
        for rung in growth.ladder
    ]
    return markdown(header, rows)


def split_table(growth: Round) -> str:
    """Units split per layer, with the sums of what they were predicted to gain and gained alone."""
    header = ["layer", "units before", "split", "lowest λ", "highest λ", "predicted", "measured"]
    rows = []
    for layer, values in growth.spectrum.items():
        chosen = [unit for unit in growth.units if unit.layer == layer]
        sums = [sum(u.predicted for u in chosen), sum(u.measured for u in chosen)]
        ends = [f"{min(values):+.4f}", f"{max(values):+.4f}"]
        rows.append([layer, str(len(values)), str(len(chosen)), *ends, *[f"{x:+.2e}" if chosen else "-" for x in sums]])
    return markdown(header, rows)


def change_table(trial: Trial) -> str:
    """Every step of the second story, predicted and measured."""
    header = ["step", "what", "predicted", "measured"]
    rows = [
        [name, each.what, f"{each.predicted:+.4f}", f"{each.measured:+.4f}"] for name, each in trial.changes.items()
    ]
    return markdown(header, rows)


def curve_table(pruning: Pruning) -> str:
    """Unexplained variance after each kept unit, a column per way of pruning."""
    header = ["units kept", *(words(name) for name in pruning.curves)]
    rows = []
    for kept in range(pruning.before):
        # A way that stopped early (nothing independent left) has no entry here.
        cells = [percent(curve[kept]) if kept < len(curve) else "-" for curve in pruning.curves.values()]
        rows.append([f"{kept + 1}{' (chosen)' if kept + 1 == pruning.after else ''}", *cells])
    return markdown(header, rows)


def stage_of(trial: Trial, name: str) -> Stage:
    """The one stage called ``name``."""
    (found,) = (stage for stage in trial.stages if stage.name == name)
    return found


def words(mode: str) -> str:
    """least_squares -> least squares."""
    return mode.replace("_", " ")


def percent(fraction: float) -> str:
    """0.0571 -> 5.71 %; rounding noise around zero shows as 0."""
    return f"{100 * fraction if abs(fraction) > 1e-9 else 0:.2f} %"


def mean(values: Iterable[float]) -> float:
    """Arithmetic mean of numbers."""
    return statistics.fmean(values)


def spread(values: Sequence[float], style: str) -> str:
    """Mean ± standard deviation; the mean alone where there is one value."""
    if len(values) == 1:
        return style.format(values[0])
    return f"{style.format(statistics.fmean(values))} ± {style.format(statistics.stdev(values))}"
