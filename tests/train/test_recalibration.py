import pytest
import torch
from torch import nn

from netsculpt.errors import ArgumentError
from netsculpt.train import recalibrate


def test_statistics_are_those_of_the_data() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3, momentum=0.2), nn.Dropout(0.5), nn.ReLU())
    model[2].eval()
    x = torch.randn(4, 8, 2, 6, 6)
    recalibrate(model, x)
    y = [model[0](batch) for batch in x]
    torch.testing.assert_close(model[1].running_mean, torch.stack([each.mean((0, 2, 3)) for each in y]).mean(0))
    torch.testing.assert_close(model[1].running_var, torch.stack([each.var((0, 2, 3)) for each in y]).mean(0))
    assert model.training and model[1].training and not model[2].training and model[1].momentum == 0.2


def test_arguments_by_position_and_by_name() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.norm(a + b)

    a, b = torch.randn(2, 20, 3)
    by_place, by_name = Two(), Two()
    recalibrate(by_place, [(a, b)])
    recalibrate(by_name, [{"b": b, "a": a}])
    torch.testing.assert_close(by_place.norm.running_mean, (a + b).mean(0))
    torch.testing.assert_close(by_name.norm.running_mean, (a + b).mean(0))


def test_no_batch_changes_nothing() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3)).eval()
    model[0].running_mean.fill_(2.0)
    with pytest.raises(ArgumentError, match="one batch at least"):
        recalibrate(model, [])
    assert model[0].running_mean.tolist() == [2.0] * 3 and not model[0].training


def test_a_batch_that_fails_changes_nothing() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).eval()
    model[1].running_mean.fill_(2.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        recalibrate(model, [torch.randn(5, 2), torch.randn(1, 2)])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model[1].training and model[1].momentum == 0.1


def test_a_model_without_parameters() -> None:
    norm = nn.BatchNorm1d(3, affine=False)
    x = torch.randn(20, 3)
    recalibrate(norm, [x])
    torch.testing.assert_close(norm.running_mean, x.mean(0))
