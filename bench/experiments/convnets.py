"""The trained networks that are pruned: a VGG-like and a ResNet-like one for 28 × 28 grey pictures, and a digit CNN."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.experiments.mobilenet import MobileNetV2

VGG_WIDTHS = ((16, 2), (32, 1), (32, 2), (64, 1), (64, 2), (64, 1))
RESNET_STAGES = ((16, 1), (32, 2), (64, 2))


def vgg(widths: tuple[tuple[int, int], ...] = VGG_WIDTHS, classes: int = 10) -> nn.Sequential:
    """3 × 3 convolutions of (width, stride), each with batch norm and ReLU; mean over places, one linear layer."""
    layers: list[nn.Module] = []
    before = 1
    for width, stride in widths:
        layers += [_conv(before, width, stride), nn.BatchNorm2d(width), nn.ReLU()]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


class Block(nn.Module):
    """Two 3 × 3 convolutions and a shortcut, which is a 1 × 1 convolution where the shape changes."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(before, width, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv(width, width, 1), nn.BatchNorm2d(width)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or before != width:
            self.shortcut = nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(hidden)) + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet-20's three stages of three blocks, behind a first convolution that already halves the picture."""

    def __init__(self, stages: tuple[tuple[int, int], ...] = RESNET_STAGES, blocks: int = 3, classes: int = 10) -> None:
        super().__init__()
        before = stages[0][0]
        self.conv, self.bn = _conv(1, before, 2), nn.BatchNorm2d(before)
        parts: list[nn.Module] = []
        for width, stride in stages:
            for number in range(blocks):
                parts.append(Block(before, width, stride if number == 0 else 1))
                before = width
        self.blocks = nn.Sequential(*parts)
        self.fc = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        places: Tensor = self.blocks(torch.relu(self.bn(self.conv(x))))
        out: Tensor = self.fc(places.mean((2, 3)))
        return out


class DigitCNN(nn.Module):
    """The network of digit-recognizer-py, its state dict's names and shapes; reads MNIST less .1307, over .3081."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, width in ((1, 32), (32, 64), (64, 128)):
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2, 2)]
        self.conv_layers = nn.Sequential(*layers)
        self.fc_layers = nn.Sequential(nn.Linear(128 * 3 * 3, 256), nn.ReLU(), nn.Linear(256, 10))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc_layers(torch.flatten(self.conv_layers(x), 1))
        return out


def _conv(before: int, width: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(before, width, 3, stride, padding=1, bias=False)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "vgg": vgg,
    "resnet": ResNet,
    "digits": DigitCNN,
    "mobilenet_v2": MobileNetV2,
}


def make(name: str, seed: int = 0) -> nn.Module:
    """The network of that name, its random weights those of this seed."""
    if name not in NETWORKS:
        raise SystemExit(f"network is {name!r} and should be one of {', '.join(NETWORKS)}")
    torch.manual_seed(seed)
    return NETWORKS[name]()
