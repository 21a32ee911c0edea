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
