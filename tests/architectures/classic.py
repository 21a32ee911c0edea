"""Plain stacks of convolutions, and those with parallel branches."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import architecture, images
from tests.architectures.layers import ConvNormAct


class LeNet(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 4 * 4, 60)
        self.fc2 = nn.Linear(60, 42)
        self.fc3 = nn.Linear(42, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, 16 * 4 * 4)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class VGG(nn.Module):
    def __init__(self, widths: tuple[int | str, ...], classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in widths:
            if isinstance(width, str):
                layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            else:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                channels = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((2, 2))
        self.classifier = nn.Sequential(
            nn.Linear(channels * 2 * 2, 64),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(64, 48),
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(48, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


class InceptionBlock(nn.Module):
    def __init__(self, in_channels: int, one: int, three: tuple[int, int], five: tuple[int, int], pool: int) -> None:
        super().__init__()
        self.branch1 = ConvNormAct(in_channels, one, 1)
        self.branch2 = nn.Sequential(ConvNormAct(in_channels, three[0], 1), ConvNormAct(three[0], three[1], 3))
        self.branch3 = nn.Sequential(
            ConvNormAct(in_channels, five[0], 1), ConvNormAct(five[0], five[1], 3), ConvNormAct(five[1], five[1], 3)
        )
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), ConvNormAct(in_channels, pool, 1))
        self.out_channels = one + three[1] + five[1] + pool

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class Inception(nn.Module):
    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvNormAct(3, 16, 3, stride=2), ConvNormAct(16, 24, 3))
        self.block1 = InceptionBlock(24, 8, (12, 16), (4, 6), 10)
        self.block2 = InceptionBlock(self.block1.out_channels, 12, (10, 14), (6, 8), 8)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.block3 = InceptionBlock(self.block2.out_channels, 16, (12, 20), (6, 10), 12)
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(self.block3.out_channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block2(self.block1(self.stem(x)))
        x = self.block3(self.pool(x))
        x = F.adaptive_avg_pool2d(x, (1, 1))
        return self.fc(self.dropout(torch.flatten(x, 1)))


@architecture(images(28, channels=1))
def lenet() -> nn.Module:
    return LeNet()


@architecture(images(16))
def vgg_bn() -> nn.Module:
    return VGG((16, 16, "M", 32, 32, "M", 48, 48))


@architecture(images(16))
def inception() -> nn.Module:
    return Inception()
