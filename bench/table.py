"""One Markdown table out of the measured rows, and the header that makes it worth quoting."""

from bench.runner import Row

COLUMNS = ["op", "case", "time", "GB/s", "GFLOP/s", "of roofline", "times as fast as", "to reach"]


def duration(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{number(seconds / scale)} {unit}"
    return f"{number(seconds / 1e-6)} µs"


def number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratio(name: str, value: float | None) -> str:
    return f"{name} -" if value is None else f"{name} {value:.2f}×" if value < 10 else f"{name} {value:.0f}×"


def cells(row: Row) -> list[str]:
    if row.error:
        return [row.op, row.case, f"wrong: {row.error}", "", "", "", "", row.target]
    return [
        row.op,
        row.case,
        f"{duration(row.seconds)} ± {50 * row.iqr / row.seconds:.0f} %",
        number(row.bytes / row.seconds / 1e9),
        number(row.flops / row.seconds / 1e9),
        f"{100 * row.fraction:.0f} % ({row.bound})",
        ", ".join(ratio(name, value) for name, value in row.ratios.items()),
        row.target,
    ]


def markdown(rows: list[Row], machine: dict[str, str], roofline: dict[str, str]) -> str:
    """The table under its header, and below it why an alternative has no time."""
    header = ", ".join(f"{name} {value}" for name, value in machine.items())
    roofs = ", ".join(f"{name} {value}" for name, value in roofline.items())
    escaped = "\\|"
    body = [COLUMNS, ["---"] * len(COLUMNS), *(cells(row) for row in rows)]
    lines = [
        f"{header}.",
        f"Measured at start: {roofs}.",
        "Times are medians ± half the interquartile range; the roofline uses the bandwidth measured at each case's",
        "own footprint, so a case that fits a cache is held to that cache's speed.",
        "",
        *(f"| {' | '.join(cell.replace('|', escaped) for cell in line)} |" for line in body),
    ]
    notes = sorted({f"- {row.op}, {row.case}: {name}: {why}" for row in rows for name, why in row.notes.items()})
    return "\n".join([*lines, *(["", "No time:", *notes] if notes else [])]) + "\n"
