"""Looking at a model changes nothing in it, and what goes wrong is said in one sentence with the line that did it."""

import pytest
import torch
from torch import Tensor, nn

from netsculpt.edit import Plan, Prune, apply
from netsculpt.errors import EditError, GraphError
from netsculpt.graph import trace
from netsculpt.graph.verify import difference

ROWS = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))


class Counting(nn.Module):
    """Counts its calls in a buffer, in place, and answers with the count."""

    calls: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        return self.body(x) + self.calls


def test_counters_are_left_alone() -> None:
    model = Counting()
    calls = model.calls
    graph = trace(model, ROWS)
    assert all(proof.holds for proof in graph.verify(model))
    apply(Plan([Prune("body.0", [0, 2, 3])]), model, graph=graph)
    assert model.calls is calls and float(calls) == 0
    model(ROWS)
    assert float(calls) == 1


def test_a_failure_names_the_line_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.sum() > 0:
                return x
            return -x

    with pytest.raises(GraphError, match=r"test_untouched.py:\d+ `if x.sum\(\) > 0:`"):
        trace(Branch(), ROWS)
    assert capfd.readouterr() == ("", "")


def test_autocast_around_an_edit_changes_nothing() -> None:
    model = Counting()
    with torch.autocast("cpu"):
        graph = trace(model, ROWS)
        outcome = apply(Plan([Prune("body.0", [0, 2, 3])]), model, graph=graph)
    assert outcome.difference is not None and outcome.difference < 1e-6
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_inference_mode_is_refused() -> None:
    model = Counting()
    graph = trace(model, ROWS)
    with torch.inference_mode(), pytest.raises(EditError, match=r"inside torch\.inference_mode"):
        apply(Plan([Prune("body.0", [0, 2, 3])]), model, graph=graph, check=False)
    assert model.body[0].out_features == 6


def test_a_model_that_cannot_run_in_float64_cannot_be_proved() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 2))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x.float())

    model = Single()
    graph = trace(model, ROWS)
    with pytest.raises(GraphError, match=r"in float64 does not run.*test_untouched.py:\d+ `return self.body"):
        graph.verify(model)


def test_parts_in_lower_precision_round_as_they_do() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(self.first(x).half().to(self.last.weight.dtype))

    model = Half()
    (proof,) = trace(model, ROWS).verify(model)
    assert proof.holds and proof.tolerance > 1e-3


def test_differences_of_outputs_that_are_not_finite_or_complex() -> None:
    inf, nan = float("inf"), float("nan")
    one = [torch.tensor([1.0, inf, nan])]
    assert difference(one, [torch.tensor([1.5, inf, nan])]) == 0.5
    assert difference(one, [torch.tensor([1.0, -inf, nan])]) == inf
    assert difference(one, [torch.tensor([1.0, inf, 0.0])]) == inf
    assert difference([torch.tensor([1.0])], one) == inf
    assert difference([torch.tensor([1.0])], [torch.tensor([nan])]) == inf
    assert difference([torch.tensor([1 + 1j])], [torch.tensor([1 + 3j])]) == 2.0


def test_places_follow_an_edit() -> None:
    class Joined(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.last = nn.Linear(4, 3), nn.Linear(4, 5), nn.Linear(8, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.cat([self.a(x), self.b(x)], -1))

    model = Joined()
    graph = trace(model, ROWS)
    apply(Plan([Prune("a", [1])]), model, graph=graph)
    (used,) = (place for place in graph["b"].places if place.tensor == "last.weight")
    assert used.entries.entries(torch.tensor([0, 4])).tolist() == [1, 5]
