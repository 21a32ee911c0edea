"""Small networks for tests of growing, and their data."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure import Statistics
from netsculpt.measure.batches import Batch
from netsculpt.methods.growing.layers import candidates
from netsculpt.methods.growing.overlay import Overlay

CLASSES = 4


class Block(nn.Module):
    """A residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


def mlp() -> tuple[nn.Module, Tensor]:
    return nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, CLASSES)), randn(48, 6)


def convnet() -> tuple[nn.Module, Tensor]:
    net = nn.Sequential(
        *(nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Tanh(), nn.Conv2d(6, 5, 3, stride=2, padding=1)),
        *(nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, CLASSES)),
    )
    return net, randn(48, 3, 8, 8)


def resnet() -> tuple[nn.Module, Tensor]:
    stem = [nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, CLASSES)]
    return nn.Sequential(*stem, Block(6), Block(6), *head), randn(48, 3, 8, 8)


def transformer() -> tuple[nn.Module, Tensor]:
    layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True, norm_first=True)
    net = nn.Sequential(
        nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Flatten(), nn.Linear(40, CLASSES)
    )
    return net, randn(48, 5, 8)


NETS: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    each.__name__: each for each in (mlp, convnet, resnet, transformer)
}


def randn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def measured(name: str, batch: int = 12) -> tuple[ns.Sculptor, Statistics]:
    """A network in float64 whose batch norms have seen data, measured on labels that its input says something about."""
    torch.manual_seed(0)
    net, x = NETS[name]()
    net = net.double()
    with torch.no_grad():
        net.train()(x)
    labels = (x.flatten(1)[:, :3].sum(1) * 2).long().clamp(-2, 1) % CLASSES
    sculptor = ns.Sculptor(net.eval(), x[:2])
    stats = sculptor.measure(list(zip(x.split(batch), labels.split(batch), strict=True)), F.cross_entropy, for_="grow")
    return sculptor, stats


def attached(stats: Statistics, new: int = 3, layers: bool = True) -> Overlay:
    """Everything that the network could grow by."""
    inserted = candidates(stats.model, stats.graph, 0.5) if layers else []
    counts = {axis.name: new for axis in stats.graph}
    return Overlay(stats.model, stats.graph, new_units=counts, layers=inserted)


def answers(overlay: Overlay, batch: Batch, gates: dict[tuple[str, str], Tensor]) -> Tensor:
    found = overlay.run(batch.inputs, overlay.tensors(gates))
    assert isinstance(found, Tensor)
    return found
