"""Networks that join features of several layers: by concatenation, or by adding across scales."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import architecture, images
from tests.architectures.layers import ConvNormAct


class DenseLayer(nn.Module):
    def __init__(self, in_channels: int, growth_rate: int, bottleneck: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(in_channels, bottleneck * growth_rate, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bottleneck * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bottleneck * growth_rate, growth_rate, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        bottleneck = self.conv1(self.relu1(self.norm1(torch.cat(features, 1))))
        return self.conv2(self.relu2(self.norm2(bottleneck)))


class DenseBlock(nn.ModuleDict):
    def __init__(self, layers: int, in_channels: int, growth_rate: int) -> None:
        super().__init__()
        for i in range(layers):
            self.add_module(f"denselayer{i + 1}", DenseLayer(in_channels + i * growth_rate, growth_rate, bottleneck=2))

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for _, layer in self.items():
            features.append(layer(features))
        return torch.cat(features, 1)


class Transition(nn.Sequential):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    def __init__(self, growth_rate: int = 8, blocks: tuple[int, ...] = (3, 4), classes: int = 10) -> None:
        super().__init__()
        channels = 2 * growth_rate
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, channels, 3, padding=1, bias=False))
        for i, layers in enumerate(blocks):
            self.features.add_module(f"denseblock{i + 1}", DenseBlock(layers, channels, growth_rate))
            channels += layers * growth_rate
            if i + 1 < len(blocks):
                self.features.add_module(f"transition{i + 1}", Transition(channels, channels // 2))
                channels //= 2
        self.features.add_module("norm", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.features(x), inplace=True)
        x = F.adaptive_avg_pool2d(x, (1, 1))
        return self.classifier(torch.flatten(x, 1))


class DoubleConv(nn.Sequential):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(ConvNormAct(in_channels, out_channels), ConvNormAct(out_channels, out_channels))


class UNet(nn.Module):
    def __init__(self, in_channels: int = 3, classes: int = 4, widths: tuple[int, int, int] = (8, 16, 24)) -> None:
        super().__init__()
        narrow, middle, wide = widths
        self.down1 = DoubleConv(in_channels, narrow)
        self.down2 = DoubleConv(narrow, middle)
        self.bottleneck = DoubleConv(middle, wide)
        self.up2 = nn.ConvTranspose2d(wide, middle, kernel_size=2, stride=2)
        self.conv2 = DoubleConv(2 * middle, middle)
        self.up1 = nn.ConvTranspose2d(middle, narrow, kernel_size=2, stride=2)
        self.conv1 = DoubleConv(2 * narrow, narrow)
        self.out = nn.Conv2d(narrow, classes, kernel_size=1)
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        skip1 = self.down1(x)
        skip2 = self.down2(self.pool(skip1))
        x = self.bottleneck(self.pool(skip2))
        x = self.conv2(torch.cat([skip2, self.up2(x)], dim=1))
        x = self.conv1(torch.cat([skip1, self.up1(x)], dim=1))
        return self.out(x)


class FeaturePyramid(nn.Module):
    """Three scales, brought to one width and added from the coarsest down; one head for all of them."""

    def __init__(self, widths: tuple[int, ...] = (16, 24, 32), width: int = 16, anchors: int = 3) -> None:
        super().__init__()
        self.stem = ConvNormAct(3, 8)
        self.stages = nn.ModuleList(
            ConvNormAct(previous, out, stride=2) for previous, out in zip((8, *widths), widths, strict=False)
        )
        self.lateral = nn.ModuleList(nn.Conv2d(out, width, 1) for out in widths)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in widths)
        self.head = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 4 * anchors, 1))

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        laterals = []
        for stage, lateral in zip(self.stages, self.lateral, strict=True):
            x = stage(x)
            laterals.append(lateral(x))
        merged = [laterals[-1]]
        for finer in reversed(laterals[:-1]):
            coarser = F.interpolate(merged[0], size=finer.shape[-2:], mode="bilinear", align_corners=False)
            merged.insert(0, finer + coarser)
        # One row for each place: [batch, places * anchors, 4].
        maps = [self.head(smooth(feature)) for smooth, feature in zip(self.smooth, merged, strict=True)]
        return [map_.permute(0, 2, 3, 1).reshape(map_.shape[0], -1, 4) for map_ in maps]


@architecture(images(16))
def densenet() -> nn.Module:
    return DenseNet()


@architecture(images(16))
def unet() -> nn.Module:
    return UNet()


@architecture(images(16))
def feature_pyramid() -> nn.Module:
    return FeaturePyramid()
