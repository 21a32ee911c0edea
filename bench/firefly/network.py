"""The network of the bench: VGG-19 with equal narrow widths, as the published code grows it, and its data."""

import torch
from torch import Tensor, nn

STAGES = (2, 2, 4, 4, 4)  # convolutions between poolings
CLASSES, SIZE = 10, 32


def network(width: int) -> nn.Sequential:
    """Convolutions with batch norms that have seen data, and a linear classifier."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    before = 3
    for stage in STAGES:
        for _ in range(stage):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            before = width
        layers.append(nn.MaxPool2d(2))
    model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width, CLASSES))
    with torch.no_grad():
        model(data(64, 1)[0][0])
    return model.eval()


def data(examples: int, batches: int) -> list[tuple[Tensor, Tensor]]:
    """Random pictures and labels: nothing here depends on what they show."""
    generator = torch.Generator().manual_seed(0)
    return [
        (
            torch.randn(examples, 3, SIZE, SIZE, generator=generator),
            torch.randint(CLASSES, (examples,), generator=generator),
        )
        for _ in range(batches)
    ]
