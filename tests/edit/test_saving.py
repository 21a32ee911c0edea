"""What is in a file: tensors that share memory, that lie in no memory, and a file that is whole or not there."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from netsculpt.edit import InsertLayer, Plan, Prune, Widen, apply, history, load, save
from netsculpt.errors import EditError
from netsculpt.graph import trace
from tests.edit.models import ROWS, Chain, answers, edited, made


class Shared(nn.Module):
    """Tensors that are the same, that overlap, that are transposed, and that are empty."""

    def __init__(self) -> None:
        super().__init__()
        memory = torch.arange(24.0)
        self.register_buffer("first", memory[:6].view(2, 3))
        self.register_buffer("overlapping", memory[4:10])
        self.register_buffer("transposed", memory[12:18].view(2, 3).t())
        self.register_buffer("empty", torch.zeros(0, 3))
        self.register_buffer("number", torch.tensor(3))
        self.one, self.two = nn.Linear(3, 2), nn.Linear(3, 2)
        self.two.weight = self.one.weight


def test_memory_that_is_shared_is_saved_right(tmp_path: Path) -> None:
    model = Shared()
    save(model, tmp_path / "file")
    again = load(Shared, tmp_path / "file")
    state = model.state_dict()
    assert list(again.state_dict()) == list(state)
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state_dict().items())
    assert again.one.weight is again.two.weight


def test_training_after_saving_does_not_reach_into_the_file(tmp_path: Path) -> None:
    model, _ = made(Chain)
    before = answers(model)
    save(model, tmp_path / "file")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert torch.equal(answers(load(Chain, tmp_path / "file")), before)


class Odd(nn.Module):
    def __init__(self, tensor: Tensor) -> None:
        super().__init__()
        self.register_buffer("odd", tensor)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.zeros(2, device="meta"), "the model cannot be saved: odd in its state dict is a meta tensor"),
        (torch.eye(2).to_sparse(), "the model cannot be saved: odd in its state dict is a sparse_coo tensor"),
        (torch.zeros(2, dtype=torch.complex128), r"file cannot be written: KeyError: torch\.complex128"),
    ],
)
def test_tensors_that_have_no_place_in_a_file(tensor: Tensor, said: str, tmp_path: Path) -> None:
    with pytest.raises(EditError, match=said):
        save(Odd(tensor), tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_as_a_whole_or_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import safetensors.torch

    model, graph = made(Chain)
    path = tmp_path / "file"
    save(model, path)
    old = path.read_bytes()
    edited(model, graph, Prune("first", [0]))

    def half(tensors: object, name: str, metadata: object) -> None:
        Path(name).write_bytes(b"half of it")
        raise OSError("disk full")

    monkeypatch.setattr(safetensors.torch, "save_file", half)
    with pytest.raises(EditError, match="file cannot be written: OSError: disk full"):
        save(model, path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EditError, match="file cannot be written"):
        save(nn.Linear(2, 2), tmp_path / "nowhere" / "file")


def test_a_model_without_memory_cannot_be_filled(tmp_path: Path) -> None:
    save(Chain(), tmp_path / "file")
    with pytest.raises(EditError, match=r"build_fn must make first\.bias on a device that holds values, not on meta"):
        load(lambda: Chain().to("meta"), tmp_path / "file")


def build(*sizes: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))).double()


def test_a_named_sequence_that_was_inserted_keeps_its_names(tmp_path: Path) -> None:
    model = build(4, 6, 2)()
    graph = trace(model, ROWS)
    layers = nn.Sequential()
    layers.add_module("mix", nn.Linear(6, 6))
    layers.add_module("act", nn.PReLU(6))
    apply(Plan((InsertLayer("0", layers.double(), exact=False),)), model, graph=graph)
    apply(Plan((Prune("0", [0, 1]), Widen("0.inserted.mix", 1))), model, graph=graph)
    save(model, tmp_path / "file")
    generator = torch.get_rng_state()
    fresh = build(4, 6, 2)()
    torch.set_rng_state(generator)
    again = load(lambda: fresh, tmp_path / "file")
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.equal(again(ROWS), model(ROWS))
    assert again[0].inserted.act.weight.shape == (7,)
    assert history(again).records == history(model).records
