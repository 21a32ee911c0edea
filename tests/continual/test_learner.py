"""Learning task after task on real digits; what is refused, and how."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.demo.data import Part, load_digits
from netsculpt.demo.network import build_network
from netsculpt.errors import ArgumentError, EditError
from tests.continual.networks import ADAM, built, images, learn, learner, task


def of(part: Part, first: int) -> tuple[Tensor, Tensor]:
    """Two digits, as classes 0 and 1."""
    rows = (part.labels == first) | (part.labels == first + 1)
    return part.images[rows], part.labels[rows] - first


def test_digits_are_learnt_two_by_two_and_none_is_forgotten() -> None:
    pytest.importorskip("sklearn")
    digits = load_digits()
    subject = ns.continual.Learner(build_network((4, 6, 8, 12), seed=0), digits.train.images[:2])
    growth = ns.continual.Growth(rounds=2, batches=40)
    right: dict[int, Tensor] = {}
    for first in range(0, 10, 2):
        x, y = of(digits.train, first)
        done = subject.learn(
            str(first),
            list(zip(x.split(32), y.split(32), strict=True)),
            F.cross_entropy,
            classes=2,
            goal=0.98,
            validation=[of(digits.validation, first)],
            budget=ns.Budget(params="130%"),
            epochs=12,
            optimizer=ADAM,
            growth=growth,
        )
        assert done.accuracy is not None and done.accuracy > 0.95
        x, y = of(digits.test, first)
        right[first] = subject.task(str(first))(x).argmax(1) == y
    for first, before in right.items():
        x, y = of(digits.test, first)
        assert torch.equal(subject.task(str(first))(x).argmax(1) == y, before), "something was forgotten"
        assert float(before.double().mean()) > 0.95
    sizes = subject.sizes()
    assert sizes.total < 0.5 * sizes.apart


def test_a_smaller_task_reuses_and_drops() -> None:
    subject = learner("Plain")
    learn(subject, 0, epochs=10)
    before = subject.pool.graph.cost()
    done = learn(subject, 1, budget=None, epochs=20, drop=ns.Tolerance(loss=0.5), validation=task(1))
    used = sum(len(mask) for mask in subject.pool["task 1"].masks.values())
    assert 0 < used < sum(axis.size for axis in subject.pool.axes)
    assert subject.pool.graph.cost() == before and done.accuracy is not None


def test_reports_are_readable() -> None:
    subject = learner("Plain")
    learn(subject, 0)
    done = learn(subject, 1, goal=1.0, validation=task(7))
    assert str(done).startswith("task 1: accuracy ") and "by reuse alone" in str(done) and " → " in str(done)
    assert len(done.rounds) >= 1 and "unlocked" in str(done)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"goal": 0.0}, r"goal must be an accuracy above 0 and at most 1, not 0\.0"),
        ({"goal": 97}, "goal must be an accuracy above 0 and at most 1, not 97"),
        ({"goal": 0.9}, "validation must be given where there is a goal"),
        ({"epochs": 0}, "epochs must be a whole number above 0, not 0"),
        ({"classes": True}, "classes must be a whole number above 0, not True"),
        ({"goal": 0.9, "validation": []}, "validation must hold one batch at least"),
        ({"validation": [(images(0), torch.zeros(48))]}, "validation must have classes as targets"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(options: dict[str, object], sentence: str) -> None:
    subject = learner("Mlp")
    with pytest.raises(ArgumentError, match=sentence):
        subject.learn("a", task(0), F.cross_entropy, **{"epochs": 1, **options})  # type: ignore[arg-type]
    assert subject.names == ()


def test_names_and_loaders_are_checked() -> None:
    subject = learner("Mlp")
    learn(subject, 0)
    with pytest.raises(ArgumentError, match="'task 0' was learnt already"):
        learn(subject, 0)
    with pytest.raises(ArgumentError, match="name of a task must be a string that is not empty, not 3"):
        subject.learn(3, task(0), F.cross_entropy)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"name must be that of a task that was learnt \('task 0'\), not 'b'"):
        subject.task("b")
    with pytest.raises(ArgumentError, match="loader must hold one batch at least"):
        subject.learn("b", [], F.cross_entropy)
    with pytest.raises(ArgumentError, match="loader must hold one batch at least, and be one that can be run through"):
        subject.learn("b", (batch for batch in task(1)), F.cross_entropy)
    with pytest.raises(ArgumentError, match="private must be several names of modules"):
        ns.continual.Learner(built("Mlp"), images(0, 2), private="5")
    with pytest.raises(ArgumentError, match="private names 'nobody', which is no module"):
        ns.continual.Learner(built("Mlp"), images(0, 2), private=("nobody",))
    assert subject.names == ("task 0",)


def test_classes_need_a_head_that_can_have_them() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.head = nn.Linear(36, 4), nn.Bilinear(4, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            x = self.hidden(x.flatten(1)).tanh()
            return self.head(x, x)

    subject = ns.continual.Learner(Fixed(), images(0, 2), private=("head",))
    subject.learn("a", task(0), F.cross_entropy, epochs=1)
    with pytest.raises(ArgumentError, match="classes must be None"):
        subject.learn("b", task(1), F.cross_entropy, classes=5)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    subject = learner("Plain")
    learn(subject, 0)
    path = tmp_path / "tasks.pt"
    subject.save(path)
    load = ns.continual.Learner.load
    with pytest.raises(EditError, match="does not fit Mlp"):
        load(lambda: built("Mlp"), path)
    with pytest.raises(EditError, match="there is no file"):
        load(lambda: built("Plain"), tmp_path / "nowhere.pt")
    with pytest.raises(ArgumentError, match=r"build_fn must return a torch\.nn\.Module, not int"):
        load(lambda: 3, path)  # type: ignore[arg-type,return-value]
    for name, content in (("text.pt", b"nothing of the kind"), ("other.pt", None)):
        if content is None:
            torch.save({"a": 1}, tmp_path / name)
        else:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(EditError, match=f"{name} (is no file that a learner saved|was not written by a learner)"):
            load(lambda: built("Plain"), tmp_path / name)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"netsculpt_continual": 1, "evil": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(EditError, match="is no file that a learner saved"):
        ns.continual.Learner.load(lambda: built("Plain"), tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_dicts_and_logits_will_do() -> None:
    class Answer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = nn.Linear(36, 5), nn.Linear(5, 3)

        def forward(self, pixels: Tensor) -> dict[str, Tensor]:
            return {"logits": self.head(self.body(pixels.flatten(1)).relu())}

    batches = [{"pixels": x, "labels": y} for x, y in task(0)]
    subject = ns.continual.Learner(Answer(), {"pixels": images(0, 2)})
    for name in "ab":
        done = subject.learn(
            name,
            batches,
            lambda answer, batch: F.cross_entropy(answer["logits"], batch["labels"]),
            validation=batches,
            epochs=1,
            budget=ns.Budget(params="+20%"),
            growth=ns.continual.Growth(rounds=1, batches=3, scored=3),
        )
        assert done.accuracy is not None
