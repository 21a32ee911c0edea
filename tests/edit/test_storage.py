"""Sculpted models on disk: tensors and a record, no pickled code; a file that does not fit is refused in a sentence."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from netsculpt.edit import InsertLayer, Plan, Prune, RemoveLayer, Split, Widen, apply, history, load, replay, save, undo
from netsculpt.errors import ArgumentError, EditError
from netsculpt.graph import Graph, trace
from tests import architectures
from tests.repository import REPOSITORY

INPUT = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def build() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4)
    )


def sculpted() -> tuple[nn.Sequential, Graph]:
    """Two plans: units pruned, copied and added, then a layer inserted and another removed."""
    torch.manual_seed(1)
    net = build().eval()
    graph = trace(net, INPUT)
    apply(Plan.of(graph, [Prune("0", [0, 2, 3, 7], [1, 2, 1, 0.5]), Split("3", 1), Widen("3", 2)]), net, graph=graph)
    layer = nn.Conv2d(4, 4, 1)
    nn.init.dirac_(layer.weight)
    nn.init.zeros_(layer.bias)
    apply(Plan.of(graph, [InsertLayer("2", layer), RemoveLayer("4")]), net, graph=graph)
    return net, graph


def test_a_loaded_model_is_the_saved_one(tmp_path: Path) -> None:
    net, _ = sculpted()
    save(net, tmp_path / "net.safetensors")
    again = load(build, tmp_path / "net.safetensors").eval()
    assert repr(again) == repr(net)
    assert torch.equal(again(INPUT), net(INPUT))
    assert history(again).records == json.loads(json.dumps(history(net).records))
    with pytest.raises(EditError, match="loaded or copied"):
        undo(again)


def test_a_loaded_model_can_be_edited_saved_and_loaded_again(tmp_path: Path) -> None:
    net, _ = sculpted()
    save(net, tmp_path / "once.safetensors")
    again = load(build, tmp_path / "once.safetensors").eval()
    graph = trace(again, INPUT)
    apply(Plan.of(graph, [Prune("0", [1, 2])]), again, graph=graph)
    save(again, tmp_path / "twice.safetensors")
    assert torch.equal(load(build, tmp_path / "twice.safetensors").eval()(INPUT), again(INPUT))


@pytest.mark.parametrize("name", ["llama", "tied_language_model", "lstm_tagger", "mobilenet_v3", "gpt2"])
def test_architectures_in_a_process_of_its_own(name: str, tmp_path: Path) -> None:
    """Frequencies that the state dict leaves out, tied weights, flat weights, grouped convolutions, attributes."""
    model, inputs = getattr(architectures, name)()
    graph = trace(model, inputs)
    half = [Prune(axis.name, range((axis.size + 1) // 2)) for axis in graph.sculptable]
    apply(Plan.of(graph, half), model, graph=graph)
    apply(Plan.of(graph, [Widen(axis.name, 1) for axis in graph.sculptable]), model, graph=graph)
    save(model, tmp_path / "net.safetensors")
    torch.save([tensor.detach() for tensor in architectures.outputs(model, inputs)], tmp_path / "outputs.pt")
    script = f"""
import torch
from netsculpt.edit import load
from tests import architectures
torch.set_num_threads({torch.get_num_threads()})
model = load(lambda: architectures.{name}()[0], {str(tmp_path / "net.safetensors")!r}).eval()
answers = architectures.outputs(model, architectures.{name}()[1])
kept = torch.load({str(tmp_path / "outputs.pt")!r}, weights_only=True)
assert all(torch.equal(a, b) for a, b in zip(answers, kept, strict=True))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def tied() -> nn.Sequential:
    net = nn.Sequential(nn.Embedding(10, 6), nn.Linear(6, 6), nn.Linear(6, 10, bias=False))
    net[2].weight = net[0].weight
    return net


def test_tied_weights_stay_tied(tmp_path: Path) -> None:
    model, inputs = tied(), torch.arange(6).reshape(2, 3)
    graph = trace(model, inputs)
    apply(Plan.of(graph, [Prune(axis.name, [0, 1, 2]) for axis in graph.sculptable]), model, graph=graph)
    assert model[0].weight is model[2].weight and model[0].weight.shape == (10, 3)
    save(model, tmp_path / "net.safetensors")
    again = load(tied, tmp_path / "net.safetensors")
    assert again[0].weight is again[2].weight
    assert torch.equal(again(inputs), model(inputs))


def test_the_dtype_is_the_saved_one(tmp_path: Path) -> None:
    net = build().to(torch.bfloat16)
    save(net, tmp_path / "net.safetensors")
    again = load(build, tmp_path / "net.safetensors")
    assert again[0].weight.dtype == torch.bfloat16
    assert torch.equal(again[0].weight, net[0].weight)


def test_a_history_is_replayed_on_a_fresh_model_which_then_takes_the_state_dict(tmp_path: Path) -> None:
    net, _ = sculpted()
    torch.save(net.state_dict(), tmp_path / "state.pt")
    fresh = build().eval()
    replay(history(net), fresh, trace(fresh, INPUT))
    fresh.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(fresh(INPUT), net(INPUT))


def test_a_replay_keeps_the_weights_of_units_that_stay() -> None:
    net, other = build().eval(), build().eval()
    graph = trace(net, INPUT)
    apply(Plan.of(graph, [Prune("0", [5, 1]), Split("3", 0)]), net, graph=graph)
    expected = copy.deepcopy(other)
    replay(history(net).records, other, trace(other, INPUT))
    assert torch.equal(other[0].weight, expected[0].weight[[5, 1]])
    assert torch.equal(other[3].weight, expected[3].weight[[*range(6), 0]][:, [5, 1]])


def test_a_replay_on_another_model_is_refused() -> None:
    net = build().eval()
    graph = trace(net, INPUT)
    apply(Plan.of(graph, [Prune("0", [1])]), net, graph=graph)
    with pytest.raises(EditError, match="0 has 1 units, not 8"):
        replay(history(net), net, graph)


class Mine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def test_a_layer_that_is_no_data_is_refused_by_name_when_saved(tmp_path: Path) -> None:
    net = build().eval()
    graph = trace(net, INPUT)
    apply(Plan.of(graph, [InsertLayer("2", Mine())]), net, graph=graph)
    with pytest.raises(EditError, match=r"cannot be saved: Mine is not a layer of torch\.nn"):
        save(net, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_is_no_tensor_in_a_state_dict_is_refused(tmp_path: Path) -> None:
    class Counting(Mine):
        def get_extra_state(self) -> dict[str, int]:
            return {"epoch": 3}

    net = nn.Sequential(build(), Counting())
    with pytest.raises(EditError, match="_extra_state in its state dict is a dict"):
        save(net, tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "there is no file"),
        (lambda path: path.write_text("nothing"), "is not a safetensors file"),
        (lambda path: save_file({"weight": torch.zeros(2)}, str(path)), r"was not written by netsculpt\.save"),
    ],
    ids=["missing", "text", "foreign"],
)
def test_files_that_are_not_ours(make: object, reason: str, tmp_path: Path) -> None:
    make(tmp_path / "net.safetensors")  # type: ignore[operator]
    with pytest.raises(EditError, match=reason):
        load(build, tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (lambda: nn.Sequential(nn.Linear(3, 4)), "does not fit Sequential"),
        (lambda: nn.Sequential(*build(), nn.Linear(4, 4)), "it lacks 7.bias"),
        (lambda: nn.Sequential(*list(build())[:-1], nn.Linear(96, 5)), r"6.bias is \[4\], not \[5\]"),
    ],
    ids=["another", "a layer more", "another size"],
)
def test_models_that_do_not_fit(other: object, reason: str, tmp_path: Path) -> None:
    net, _ = sculpted()
    save(net, tmp_path / "net.safetensors")
    with pytest.raises(EditError, match=reason):
        load(other, tmp_path / "net.safetensors")  # type: ignore[arg-type]


def test_build_fn_must_make_the_model_before_all_edits(tmp_path: Path) -> None:
    net, _ = sculpted()
    save(net, tmp_path / "net.safetensors")
    with pytest.raises(ArgumentError, match="before all edits"):
        load(lambda: copy.deepcopy(net), tmp_path / "net.safetensors")
    with pytest.raises(ArgumentError, match=r"must return a torch\.nn\.Module, not int"):
        load(lambda: 3, tmp_path / "net.safetensors")  # type: ignore[arg-type,return-value]
