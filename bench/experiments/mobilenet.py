"""MobileNetV2 with torchvision's layout and names, so that its ImageNet weights load strictly, without torchvision."""

import torch
from torch import Tensor, nn

# expansion, channels, blocks, stride of the first block (Sandler et al. 2018, table 2)
SETTING = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
FIRST, LAST = 32, 1280


def conv_bn_relu(before: int, width: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    padding = (kernel - 1) // 2
    conv = nn.Conv2d(before, width, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU6())


class InvertedResidual(nn.Module):
    def __init__(self, before: int, width: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = before * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [conv_bn_relu(before, hidden, 1)]
        layers += [conv_bn_relu(hidden, hidden, 3, stride, hidden)]
        layers += [nn.Conv2d(hidden, width, 1, bias=False), nn.BatchNorm2d(width)]
        self.conv = nn.Sequential(*layers)
        self.residual = stride == 1 and before == width

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """[n, 3, h, w] to [n, classes]; `embed` gives the [n, 1280] features that the classifier reads."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_bn_relu(3, FIRST, 3, 2)]
        before = FIRST
        for expansion, width, blocks, stride in SETTING:
            for number in range(blocks):
                layers.append(InvertedResidual(before, width, stride if number == 0 else 1, expansion))
                before = width
        self.features = nn.Sequential(*layers, conv_bn_relu(before, LAST, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(LAST, classes))

    def embed(self, x: Tensor) -> Tensor:
        return torch.flatten(nn.functional.adaptive_avg_pool2d(self.features(x), 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.embed(x))
        return out
