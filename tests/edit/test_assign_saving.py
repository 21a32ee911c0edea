"""Assigned values in plans as JSON, in files, and in histories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from netsculpt.edit import Assign, Plan, Prune, Split, history, load, replay, save
from netsculpt.errors import ArgumentError
from tests.edit.models import Chain, Factors, answers, drawn, edited, made


def test_plans_are_kept_as_json_to_the_bit() -> None:
    small, large = drawn(5, 6), drawn(40, 30)
    for values in (small, small.bfloat16(), large, large.float(), large.bfloat16().t(), drawn(2, 2) * 1j, drawn(0, 3)):
        text = Plan((Assign("a", values),)).to_json()
        again = Plan.from_json(text).edits[0].values
        assert again.dtype == values.dtype
        assert torch.equal(again, values)
        assert json.loads(text)["edits"][0]["edit"] == "assign"
    assert len(Plan((Assign("a", large.float()),)).to_json()) < 1.5 * large.float().nbytes


def test_units_stay_readable() -> None:
    data = json.loads(Plan((Prune("a", range(1000)),)).to_json())
    assert data["edits"][0]["keep"] == {"tensor": list(range(1000)), "dtype": "int64"}


def test_a_large_split_is_kept_as_json_to_the_bit() -> None:
    offsets = drawn(2, 300)
    again = Plan.from_json(Plan((Split("a", 0, offsets=offsets),)).to_json())
    assert torch.equal(again.edits[0].offsets, offsets)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bytes": "!"}, "bytes of a tensor must be base64"),
        ({"bytes": "AAAA"}, "bytes of a tensor must be base64"),
        ({"shape": [7, 7]}, "bytes of a tensor must be base64"),
        ({"dtype": "x"}, "as Plan.to_json wrote it"),
        ({"bytes": None}, "a assign edit cannot be made of|as Plan.to_json wrote it"),
    ],
)
def test_bytes_that_are_no_tensor(change: dict[str, object], said: str) -> None:
    data = json.loads(Plan((Assign("a", drawn(40, 30)),)).to_json())
    data["edits"][0]["values"].update(change)
    with pytest.raises(ArgumentError, match=said) as caught:
        Plan.from_json(json.dumps(data))
    assert "\n" not in str(caught.value)


def test_a_saved_model_has_the_values_and_its_history_the_names(tmp_path: Path) -> None:
    model, graph = made(Factors)
    edited(model, graph, Assign("factors", drawn(6)), Assign("first.weight", drawn(6, 4)), Prune("first", [5, 2]))
    edited(model, graph, Assign("last.bias", drawn(2)))
    save(model, tmp_path / "file")
    again = load(lambda: Factors().double(), tmp_path / "file")
    assert torch.equal(answers(again), answers(model))
    assert torch.equal(again.factors, drawn(6)[[5, 2]])
    assert history(again).records == history(model).records
    assert [record["assigned"] for record in history(model).records] == [["factors", "first.weight"], ["last.bias"]]
    assert len(json.dumps(history(model).records)) < 1000


def test_a_buffer_that_the_state_dict_leaves_out_is_saved_where_it_alone_was_assigned(tmp_path: Path) -> None:
    model, graph = made(Factors)
    edited(model, graph, Assign("factors", drawn(6)))
    save(model, tmp_path / "file")
    again = load(lambda: Factors().double(), tmp_path / "file")
    assert torch.equal(again.factors, drawn(6))
    assert torch.equal(answers(again), answers(model))


def test_a_replayed_history_has_the_structure_and_not_the_values() -> None:
    model, graph = made(Chain)
    edited(model, graph, Assign("second.weight", drawn(5, 6)), Prune("first", [4, 1]))
    edited(model, graph, Assign("last.bias", drawn(2)))
    other, other_graph = made(Chain, seed=1)
    own = other.second.weight.detach().clone()
    replay(json.loads(json.dumps(history(model).records)), other, other_graph)
    assert torch.equal(other.second.weight, own[:, [4, 1]])
    assert history(other).records == history(model).records
    other.load_state_dict(model.state_dict())
    assert torch.equal(answers(other), answers(model))


def test_records_from_before_there_was_assigning(tmp_path: Path) -> None:
    model, graph = made(Chain)
    edited(model, graph, Prune("first", [4, 1]))
    del history(model).records[0]["assigned"]
    save(model, tmp_path / "file")
    assert torch.equal(answers(load(lambda: Chain().double(), tmp_path / "file")), answers(model))
    replay(history(model), *made(Chain, seed=1))
