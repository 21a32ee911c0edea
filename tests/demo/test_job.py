import csv
import json
import sys
from pathlib import Path

import pytest

from netsculpt import cli
from netsculpt.demo import job, optional, report, story
from netsculpt.demo.records import Trial

for package in ("sklearn", "matplotlib", "tqdm"):
    pytest.importorskip(package, reason="the demo needs it: pip install 'netsculpt[demo]'")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Trial]]:
    out = tmp_path_factory.mktemp("demo") / "made" / "on the way"
    return out, job.run(out, job.QUICK)


def test_every_file_is_written(quick: tuple[Path, list[Trial]]) -> None:
    out, trials = quick
    assert {file.name for file in out.iterdir()} == {
        "report.md", "figure.png", "results.json", "stages.csv", "splits.csv", "pruning.csv",
    }  # fmt: skip
    assert (out / "figure.png").read_bytes()[1:4] == b"PNG"
    rows = list(csv.DictReader((out / "stages.csv").open()))
    assert [row["name"] for row in rows] == [stage.name for stage in trials[0].stages]
    results = json.loads((out / "results.json").read_text())
    assert results["trials"][0]["stages"][0]["macs"] == trials[0].stages[0].macs


def test_the_report_shows_every_stage_and_compares_every_network(quick: tuple[Path, list[Trial]]) -> None:
    out, trials = quick
    page = (out / report.PAGE).read_text()
    assert all(stage.name in page for stage in trials[0].stages)
    assert all(name in page for name in report.COMPARED)
    assert "nan" not in page.lower().split()
    assert f"]({report.FIGURE})" in page


def test_the_story_grows_twice_and_prunes_back(quick: tuple[Path, list[Trial]]) -> None:
    _, (trial,) = quick
    assert len(trial.rounds) == 2
    assert all(growth.made.predicted < 0 for growth in trial.rounds)
    assert trial.pruning is not None and trial.pruning.before > trial.pruning.after == len(trial.pruning.order)
    curves = trial.pruning.curves
    for weaker, stronger in (("least_squares", "least squares + refit"), ("magnitude", "magnitude + refit")):
        assert all(s <= w + 1e-9 for w, s in zip(curves[weaker], curves[stronger], strict=True))
    assert sum(map(len, trial.losses.values())) > job.epochs_in(job.QUICK) / 2


def test_a_round_that_finds_nothing_to_split_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsculpt.demo.splitting.choose", lambda *_: [])
    job.run(tmp_path, job.QUICK)
    assert "No unit had a negative λ" in (tmp_path / report.PAGE).read_text()


def test_the_bar_counts_every_epoch() -> None:
    settings = job.Settings(epochs=(1, 1, 1), tuning_epochs=1)
    ticks: list[str] = []
    story.Story(settings, job.load_digits(), 0, ticks.append).run()
    assert len(ticks) == job.epochs_in(settings)


def test_the_same_seed_gives_the_same_numbers(quick: tuple[Path, list[Trial]], tmp_path: Path) -> None:
    assert job.run(tmp_path, job.QUICK) == quick[1]


def test_a_missing_package_names_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    assert cli.main(["demo", "--quick", "--out", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert said == "netsculpt: the demo needs scikit-learn: install it with pip install 'netsculpt[demo]'\n"


def test_a_broken_package_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halfway.py").write_text("import surely_not_installed_anywhere")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="surely_not_installed_anywhere"):
        optional.require("halfway")


def test_a_folder_that_cannot_be_written_stops_before_the_work(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert cli.main(["demo", "--out", str(tmp_path / "file")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("netsculpt: the report cannot be written to") and said.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["dance"], ["demo", "--trials", "0"], ["demo", "--trials", "x"]])
def test_wrong_arguments_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "usage: netsculpt" in capsys.readouterr().err


def test_info_says_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info"]) == 0
    assert "torch_running" in capsys.readouterr().out
