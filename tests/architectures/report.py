"""docs/architectures.md: what can change in every architecture. ``python -m tests.architectures.report`` writes it."""

import re
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import torch

import netsculpt as ns
from netsculpt.graph.table import sculptable_share
from tests.architectures import (
    ARCHITECTURES,
    TORCHVISION_MISSING,
    TORCHVISION_MODELS,
    TRANSFORMERS_MISSING,
    TRANSFORMERS_MODELS,
    Architecture,
)
from tests.repository import REPOSITORY

PAGE = REPOSITORY / "docs" / "architectures.md"
SOURCE = re.compile(r" \([\w.:]+( in [\w.]+)?(, [\w.]+:\d+ `.*`)?\)$")  # what ends a reason that a rule has given

ABOUT = """\
# What can change in which architecture

Written by `python -m tests.architectures.report` with torch {torch}; where it is out of date,
`tests/architectures/test_report.py` fails. The models are small configurations with random weights, defined in
`tests/architectures`; `python -m netsculpt inspect tests.architectures:NAME` shows any of them in full.

An axis is a set of units that live together in the slices of many tensors: channels, neurons, heads, the width of a
residual stream. *Can change* are the axes whose units can be added and removed, out of all; *parameters on them* is the
share of the parameters that have a dimension on such an axis. For *exact* ones, removing a unit is the same as
silencing it; for the others, something sees all units at once, mostly a norm. The last column counts the axes that
cannot change by the reason.
"""
HEADER = """\
| architecture | parameters | can change | parameters on them | exact | cannot change |
|---|---:|---:|---:|---:|---|
"""


class Section(NamedTuple):
    """Architectures of one origin. ``package``: which they come from, if any; ``missing``: why they are not there."""

    architectures: Sequence[Architecture]
    package: str | None = None
    missing: str | None = None

    @property
    def title(self) -> str:
        return f"{self.package} {release(self.package)}" if self.package else "Own definitions"


SECTIONS = (
    Section(ARCHITECTURES),
    Section(TRANSFORMERS_MODELS, "transformers", TRANSFORMERS_MISSING),
    Section(TORCHVISION_MODELS, "torchvision", TORCHVISION_MISSING),
)


def release(package: str) -> str:
    """The installed version without the mark of a build: 2.13.0+cpu is 2.13.0."""
    return version(package).split("+")[0]


def about(torch_version: str) -> str:
    """What stands above the tables."""
    return ABOUT.format(torch=torch_version)


def table(section: Section) -> str:
    """A row per architecture, by name."""
    rows = sorted(map(row, section.architectures))
    return HEADER + "".join(f"{line}\n" for line in rows)


def row(architecture: Architecture) -> str:
    """Trace a model; what became of its axes."""
    graph = ns.trace(architecture.build(), architecture.inputs())
    free = graph.sculptable
    share = int(1000 * sculptable_share(graph)) / 10  # 99.99 % is not everything
    reasons = Counter(short(axis.frozen) for axis in graph if axis.frozen is not None)
    cells = (
        f"`{architecture.name}`",
        f"{graph.cost().params:,}",
        f"{len(free)} of {len(graph)}",
        f"{share} %",
        f"{sum(axis.exact for axis in free)}",
        "; ".join(f"{count} × {reason}" for reason, count in reasons.most_common()),
    )
    return f"| {' | '.join(cells)} |"


def short(reason: str) -> str:
    """A reason without the place in the code that it is about and without what exactly went wrong there."""
    return SOURCE.sub("", reason).split(": ")[0].replace("|", "\\|")


def sections_of(page: str) -> dict[str, str]:
    """Title -> table."""
    return dict(part.split("\n\n", 1) for part in page.split("\n## ")[1:])


def written(page: Path) -> str:
    """The new page; the table of a package that is not installed stays as it is."""
    before = sections_of(page.read_text()) if page.exists() else {}
    parts = [about(release("torch"))]
    for section in SECTIONS:
        if section.missing is None:
            parts.append(f"## {section.title}\n\n{table(section)}")
        else:
            print(f"kept as it was: {section.missing}", file=sys.stderr)
            parts.extend(
                f"## {title}\n\n{old}" for title, old in before.items() if title.startswith(f"{section.package} ")
            )
    return "\n".join(f"{part.rstrip()}\n" for part in parts)


if __name__ == "__main__":
    torch.set_num_threads(1)
    PAGE.write_text(written(PAGE))
