"""A folder with a module of model factories, as a user would have it, and the command line run in it."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from netsculpt.cli import main

FACTORIES = Path(__file__).with_name("factories.py").read_text()


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, with ``mine.py`` in it; nothing that is imported from it stays."""
    tmp_path.joinpath("mine.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name, module in list(sys.modules.items()):
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def netsculpt(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """``python -m netsculpt`` with these arguments, in ``folder``."""

    def run(*arguments: str) -> Answer:
        code = main(arguments)
        return Answer(code, *capsys.readouterr())

    return run
