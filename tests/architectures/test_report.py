"""docs/architectures.md is what ``python -m tests.architectures.report`` writes."""

from pathlib import Path

import pytest

from tests.architectures import ARCHITECTURES, report
from tests.architectures.report import PAGE, SECTIONS, Section, about, release, sections_of, short, table, written

COMMITTED = PAGE.read_text()
AGAIN = "python -m tests.architectures.report writes it anew"


def torch_of_the_page() -> str:
    return COMMITTED.split("with torch ")[1].split(";")[0]


@pytest.mark.slow
@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.package or "own")
def test_the_page_is_up_to_date(section: Section) -> None:
    if section.missing:
        pytest.skip(section.missing)
    if section.package and (section.title not in sections_of(COMMITTED) or torch_of_the_page() != release("torch")):
        pytest.skip(f"the page is about other versions than torch {release('torch')} and {section.title}")
    assert table(section).rstrip() == sections_of(COMMITTED)[section.title].rstrip(), AGAIN


def test_the_page_says_how_it_was_made() -> None:
    assert COMMITTED.startswith(about(torch_of_the_page())), AGAIN


def test_the_page_has_every_architecture_once() -> None:
    for section in SECTIONS:
        for architecture in section.architectures:
            assert COMMITTED.count(f"\n| `{architecture.name}` |") == 1, AGAIN


def test_what_is_not_installed_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Old\n\n## Own definitions\n\nold\n\n## somewhere 1.2\n\nkept\n")
    monkeypatch.setattr(report, "SECTIONS", (Section(ARCHITECTURES[:1]), Section((), "somewhere", "not here")))
    new = written(page)
    assert sections_of(new)["somewhere 1.2"] == "kept\n"
    assert "old" not in sections_of(new)["Own definitions"]
    page.write_text(new)
    assert written(page) == new


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("it is an output of the model", "it is an output of the model"),
        ("squeezed away (aten.squeeze.dim, composite.py:50 `y = f(x | 1).squeeze(1)`)", "squeezed away"),
        ("a sum over it (aten.mean.dim in layers.0.norm, decoder.py:19 `v = x.mean(-1)`)", "a sum over it"),
        ("no rule (aten.bincount)", "no rule"),
        ("its size is written into the code: shape '[-1, 256]' is invalid", "its size is written into the code"),
        ("(29 × 2) does not divide", "(29 × 2) does not divide"),
        ("a | b", "a \\| b"),
    ],
)
def test_reasons_are_short(reason: str, expected: str) -> None:
    assert short(reason) == expected
