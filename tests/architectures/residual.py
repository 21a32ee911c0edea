"""Residual networks: basic, bottleneck, pre-activation, group norm, grouped convolutions, squeeze and excitation."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import architecture, images
from tests.architectures.layers import ConvNormAct, SqueezeExcite

Norm = Callable[[int], nn.Module]


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inplanes: int, planes: int, stride: int = 1, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = norm(planes)
        self.downsample = None
        if stride != 1 or inplanes != planes:
            self.downsample = nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False), norm(planes))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inplanes: int, planes: int, stride: int = 1, norm: Norm = nn.BatchNorm2d) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 1, bias=False)
        self.bn1 = norm(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, stride, 1, bias=False)
        self.bn2 = norm(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inplanes != planes * self.expansion:
            self.downsample = nn.Sequential(
                nn.Conv2d(inplanes, planes * self.expansion, 1, stride, bias=False), norm(planes * self.expansion)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return self.relu(out + identity)


class ResNet(nn.Module):
    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        widths: tuple[int, ...],
        norm: Norm = nn.BatchNorm2d,
        classes: int = 10,
    ) -> None:
        super().__init__()
        self.inplanes = 16
        self.conv1 = nn.Conv2d(3, self.inplanes, 3, padding=1, bias=False)
        self.bn1 = norm(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        stages = [self._make_layer(block, width, 1 if i == 0 else 2, norm) for i, width in enumerate(widths)]
        self.layers = nn.Sequential(*stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(self.inplanes, classes)

    def _make_layer(
        self, block: type[BasicBlock] | type[Bottleneck], width: int, stride: int, norm: Norm
    ) -> nn.Sequential:
        layers: list[nn.Module] = [block(self.inplanes, width, stride, norm)]
        self.inplanes = width * block.expansion
        layers.append(block(self.inplanes, width, 1, norm))
        return nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.avgpool(self.layers(x))
        return self.fc(torch.flatten(x, 1))


class PreActivationBlock(nn.Module):
    def __init__(self, inplanes: int, planes: int, stride: int = 1) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inplanes)
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        if stride != 1 or inplanes != planes:
            self.shortcut = nn.Conv2d(inplanes, planes, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(x))
        shortcut = self.shortcut(out) if hasattr(self, "shortcut") else x
        out = self.conv1(out)
        out = self.conv2(F.relu(self.bn2(out)))
        return out + shortcut


class PreActivationResNet(nn.Module):
    def __init__(self, widths: tuple[int, ...], classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        blocks: list[nn.Module] = []
        for previous, width in zip((widths[0], *widths), widths, strict=False):
            blocks += [PreActivationBlock(previous, width, 1 if previous == width else 2)]
            blocks += [PreActivationBlock(width, width)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.linear = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = F.avg_pool2d(F.relu(self.norm(x)), 8)
        return self.linear(x.view(x.size(0), -1))


class GroupedBlock(nn.Module):
    """1x1, grouped 3x3, optional squeeze and excitation, 1x1: a block of ResNeXt or RegNet."""

    def __init__(self, inplanes: int, width: int, outplanes: int, stride: int, groups: int, squeezed: int) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(inplanes, width, 1)
        self.conv2 = ConvNormAct(width, width, 3, stride, groups)
        self.se = SqueezeExcite(width, squeezed) if squeezed else nn.Identity()
        self.conv3 = ConvNormAct(width, outplanes, 1, activation=None)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inplanes != outplanes:
            self.shortcut = ConvNormAct(inplanes, outplanes, 1, stride, activation=None)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.conv3(self.se(self.conv2(self.conv1(x)))))


def grouped_network(blocks: list[GroupedBlock], stem: int, outplanes: int, classes: int = 10) -> nn.Module:
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(outplanes, classes)]
    return nn.Sequential(ConvNormAct(3, stem, 3, stride=2), *blocks, *head)


@architecture(images(16))
def resnet_basic() -> nn.Module:
    return ResNet(BasicBlock, (16, 32))


@architecture(images(16))
def resnet_bottleneck() -> nn.Module:
    return ResNet(Bottleneck, (8, 16))


@architecture(images(16))
def resnet_preactivation() -> nn.Module:
    return PreActivationResNet((16, 32))


@architecture(images(16))
def resnet_groupnorm() -> nn.Module:
    return ResNet(BasicBlock, (16, 32), norm=lambda planes: nn.GroupNorm(4, planes))


@architecture(images(16))
def se_resnext() -> nn.Module:
    blocks = [
        GroupedBlock(16, 16, 32, stride=1, groups=4, squeezed=4),
        GroupedBlock(32, 16, 32, stride=1, groups=4, squeezed=4),
        GroupedBlock(32, 32, 64, stride=2, groups=4, squeezed=8),
        GroupedBlock(64, 32, 64, stride=1, groups=4, squeezed=8),
    ]
    return grouped_network(blocks, stem=16, outplanes=64)


@architecture(images(16))
def regnet() -> nn.Module:
    """Groups of eight channels, as many as the width needs."""
    blocks = [
        GroupedBlock(16, 24, 24, stride=1, groups=24 // 8, squeezed=0),
        GroupedBlock(24, 24, 24, stride=1, groups=24 // 8, squeezed=0),
        GroupedBlock(24, 56, 56, stride=2, groups=56 // 8, squeezed=0),
        GroupedBlock(56, 56, 56, stride=1, groups=56 // 8, squeezed=0),
    ]
    return grouped_network(blocks, stem=16, outplanes=56)
