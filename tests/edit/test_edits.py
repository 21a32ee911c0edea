"""Edits as data: what they refuse, and that nobody changes them afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netsculpt.edit import InsertLayer, Prune, RemoveLayer, Split, Widen
from netsculpt.edit.edits import from_data
from netsculpt.errors import ArgumentError, ShapeError
from tests.edit.models import Chain, made

NAN = float("nan")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Prune("a", []), "keep of 'a' must name a unit: an axis cannot lose all of them"),
        (lambda: Prune("a", [1, 1]), "keep of 'a' must be distinct units; use Split"),
        (lambda: Prune("a", [0.0, 1.9]), "a unit in keep of 'a' must be a whole number, not 0.0"),
        (lambda: Prune("a", [True, False]), "a unit in keep of 'a' must be a whole number, not True"),
        (lambda: Prune("a", torch.tensor([True, False])), "keep of 'a' must be whole numbers .*, not torch.bool"),
        (lambda: Prune("a", torch.zeros(2, 2, dtype=torch.int64)), "keep of 'a' must be whole numbers .*2, 2"),
        (lambda: Prune("a", 3), "keep of 'a' must be whole numbers .*, not 3"),
        (lambda: Prune("a", [0, 1], scale=[1.0]), "scale of 'a' must be 2 finite numbers"),
        (lambda: Prune("a", [0], scale=[NAN]), "scale of 'a' must be 1 finite numbers"),
        (lambda: Prune("a", [0], scale="x"), "scale of 'a' must be 1 finite numbers, not 'x'"),
        (lambda: Prune(0, [0]), "axis of an edit must be a name, not 0"),
        (lambda: Split("a", 1.5), "index of the split of 'a' must be a whole number, not 1.5"),
        (lambda: Split("a", True), "index of the split of 'a' must be a whole number, not True"),
        (lambda: Split("a", 0, (0.5, 0.6)), "weights of the split of 'a' must sum to 1, not 1.1"),
        (lambda: Split("a", 0, ()), "weights of the split of 'a' must sum to 1"),
        (lambda: Split("a", 0, (NAN, 1.0)), "weights of the split of 'a' must be some finite numbers"),
        (lambda: Split("a", 0, offsets=[[1.0]]), "offsets .* must be a tensor \\[units, entries\\], not list"),
        (lambda: Split("a", 0, offsets=torch.ones(3)), "offsets .* must be a tensor \\[units, entries\\], not \\[3\\]"),
        (lambda: Split("a", 0, offsets={"w": torch.ones(())}), "offsets .* for w must be a tensor .*, not \\[\\]"),
        (lambda: Split("a", 0, offsets=torch.tensor([[NAN]])), "offsets of the split of 'a' must be finite"),
        (lambda: Widen("a", 0), "n of the widening of 'a' must be above 0, not 0"),
        (lambda: Widen("a", True), "n of the widening of 'a' must be a whole number, not True"),
        (lambda: Widen("a", 1.0), "n of the widening of 'a' must be a whole number, not 1.0"),
        (lambda: Widen("a", 1, "ones"), "init of the widening of 'a' must be 'random', 'zero' or slices"),
        (lambda: Widen("a", 1, torch.ones(1, 1)), "init of the widening of 'a' must be 'random'"),
        (lambda: Widen("a", 1, {"w": torch.tensor([[NAN]])}), "init of the widening of 'a' for w must be finite"),
        (lambda: Widen("a", 1, seed=0.5), "seed of the widening of 'a' must be a whole number"),
        (lambda: InsertLayer("a", "relu"), "module after 'a' must be a torch.nn.Module, not 'relu'"),
        (lambda: InsertLayer(nn.ReLU(), nn.ReLU()), "after of an edit must be a name"),
        (lambda: RemoveLayer(nn.ReLU()), "name of an edit must be a name"),
        (lambda: from_data({"edit": "fold"}), "an edit must be one of prune, split, .*, not 'fold'"),
        (lambda: from_data({"edit": "remove", "layer": "a"}), "a remove edit cannot be made of \\['edit', 'layer'\\]"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_in_a_sentence(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_an_axis_itself_is_not_its_name() -> None:
    _, graph = made(Chain)
    with pytest.raises(ArgumentError, match="axis of an edit must be a name, not Axis"):
        Prune(graph["first"], [0])


def test_offsets_of_a_wrong_shape_are_shape_errors() -> None:
    with pytest.raises(ShapeError):
        Split("a", 0, offsets=torch.ones(2))


def test_units_and_shares_come_in_any_form() -> None:
    wanted = [4, 0, 2]
    for keep in (wanted, tuple(wanted), iter(wanted), np.array(wanted), torch.tensor(wanted, dtype=torch.int32)):
        edit = Prune("a", keep)
        assert edit.keep.tolist() == wanted
        assert edit.keep.dtype == torch.int64
    for shares in ((0.25, 0.75), np.array([0.25, 0.75]), torch.tensor([0.25, 0.75])):
        edit = Split("a", np.int64(3), shares)
        assert (type(edit.index), edit.weights.tolist()) == (int, [0.25, 0.75])
    assert Widen("a", np.int32(2)).n == 2


def test_edits_are_not_changed_through_the_tensors_that_they_were_made_of() -> None:
    keep, scale = torch.tensor([0, 1]), torch.ones(2, dtype=torch.float64)
    shares, rows = torch.tensor([0.5, 0.5], dtype=torch.float64), torch.ones(2, 3, requires_grad=True)
    prune = Prune("a", keep, scale)
    split = Split("a", 0, shares, {"w": rows})
    widen = Widen("a", 2, {"w": rows})
    with torch.no_grad():
        for tensor in (keep, scale, shares, rows):
            tensor.zero_()
    assert prune.keep.tolist() == [0, 1] and prune.scale.tolist() == [1.0, 1.0]
    assert split.weights.tolist() == [0.5, 0.5]
    for given in (split.offsets["w"], widen.init["w"]):
        assert bool((given == 1).all())
        assert not given.requires_grad


def test_edits_say_what_they_do() -> None:
    lines = [
        (Prune("a", [1, 2]), "prune a: keep 2"),
        (Prune("a", [1, 2], [1.0, 2.0]), "prune a: keep 2, outgoing weights scaled"),
        (Split("a", 3, (0.5, 0.25, 0.25)), "split a: unit 3 into 3"),
        (Widen("a", 4), "widen a: 4 more"),
        (InsertLayer("a", nn.ReLU()), "insert ReLU after a"),
        (RemoveLayer("a"), "remove a"),
    ]
    assert [str(edit) for edit, _ in lines] == [line for _, line in lines]
