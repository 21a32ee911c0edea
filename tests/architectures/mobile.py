"""Networks of depthwise convolutions."""

import torch
from torch import Tensor, nn

from tests.architectures.core import architecture, images
from tests.architectures.layers import ConvNormAct, DropPath, SqueezeExcite


class MobileNetV1(nn.Module):
    def __init__(self, widths: tuple[tuple[int, int], ...], classes: int = 10) -> None:
        super().__init__()
        channels = 16
        layers: list[nn.Module] = [ConvNormAct(3, channels, 3, stride=2)]
        for width, stride in widths:
            layers += [ConvNormAct(channels, channels, 3, stride, groups=channels), ConvNormAct(channels, width, 1)]
            channels = width
        self.model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.model(x)
        return self.fc(x.view(-1, self.fc.in_features))


class InvertedResidual(nn.Module):
    """Expand, depthwise, optional squeeze and excitation, project without an activation."""

    def __init__(
        self,
        in_channels: int,
        expanded: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        activation: type[nn.Module] = nn.ReLU6,
        excite: nn.Module | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if expanded != in_channels:
            layers.append(ConvNormAct(in_channels, expanded, 1, activation=activation))
        layers.append(ConvNormAct(expanded, expanded, kernel_size, stride, expanded, activation))
        if excite is not None:
            layers.append(excite)
        layers += [nn.Conv2d(expanded, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)]
        self.conv = nn.Sequential(*layers)
        self.drop_path = DropPath(drop_path)
        self.use_res_connect = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        if self.use_res_connect:
            return x + self.drop_path(self.conv(x))
        return self.conv(x)


class MobileNet(nn.Module):
    """Versions 2 and 3 of MobileNet, and EfficientNet: a stem, inverted residuals, a last convolution, a head."""

    def __init__(self, blocks: list[InvertedResidual], stem: int, last: tuple[int, int], act: type[nn.Module]) -> None:
        super().__init__()
        stem_conv = ConvNormAct(3, stem, 3, stride=2, activation=act)
        self.features = nn.Sequential(stem_conv, *blocks, ConvNormAct(*last, 1, activation=act))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier: nn.Module = nn.Sequential(nn.Dropout(0.2), nn.Linear(last[1], 10))

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batch, channels, height, width)


class ShuffleUnit(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        half = out_channels // 2
        self.branch1 = nn.Sequential()
        if stride > 1:
            depthwise = ConvNormAct(in_channels, in_channels, 3, stride, in_channels, activation=None)
            self.branch1 = nn.Sequential(depthwise, ConvNormAct(in_channels, half, 1))
        self.branch2 = nn.Sequential(
            ConvNormAct(in_channels if stride > 1 else half, half, 1),
            ConvNormAct(half, half, 3, stride, half, activation=None),
            ConvNormAct(half, half, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            x1, x2 = x.chunk(2, dim=1)
            out = torch.cat((x1, self.branch2(x2)), dim=1)
        else:
            out = torch.cat((self.branch1(x), self.branch2(x)), dim=1)
        return channel_shuffle(out, 2)


class ShuffleNetV2(nn.Module):
    def __init__(self, stem: int, widths: tuple[int, ...], last: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(3, stem, 3)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        stages = []
        for previous, width in zip((stem, *widths), widths, strict=False):
            units = [ShuffleUnit(previous, width, 2), ShuffleUnit(width, width, 1), ShuffleUnit(width, width, 1)]
            stages.append(nn.Sequential(*units))
        self.stages = nn.Sequential(*stages)
        self.conv5 = ConvNormAct(widths[-1], last, 1)
        self.fc = nn.Linear(last, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv5(self.stages(self.maxpool(self.conv1(x))))
        return self.fc(x.mean([2, 3]))


@architecture(images(16))
def mobilenet_v1() -> nn.Module:
    return MobileNetV1(((32, 1), (48, 2), (48, 1), (64, 2)))


@architecture(images(16))
def mobilenet_v2() -> nn.Module:
    blocks = [
        InvertedResidual(16, 16, 8),
        InvertedResidual(8, 48, 12, stride=2),
        InvertedResidual(12, 48, 12),
        InvertedResidual(12, 60, 20, stride=2),
        InvertedResidual(20, 60, 20),
    ]
    return MobileNet(blocks, 16, (20, 64), nn.ReLU6)


@architecture(images(16))
def mobilenet_v3() -> nn.Module:
    def excite(channels: int) -> SqueezeExcite:
        return SqueezeExcite(channels, 8, gate=nn.Hardsigmoid)

    blocks = [
        InvertedResidual(16, 16, 16, activation=nn.ReLU, excite=excite(16)),
        InvertedResidual(16, 48, 24, stride=2, activation=nn.ReLU),
        InvertedResidual(24, 56, 24, activation=nn.ReLU),
        InvertedResidual(24, 64, 32, 5, stride=2, activation=nn.Hardswish, excite=excite(64)),
        InvertedResidual(32, 64, 32, 5, activation=nn.Hardswish, excite=excite(64)),
    ]
    model = MobileNet(blocks, 16, (32, 64), nn.Hardswish)
    model.classifier = nn.Sequential(nn.Linear(64, 48), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(48, 10))
    return model


@architecture(images(16))
def efficientnet() -> nn.Module:
    def block(channels: int, expanded: int, out: int, kernel_size: int = 3, stride: int = 1) -> InvertedResidual:
        excite = SqueezeExcite(expanded, max(1, channels // 4), nn.SiLU)
        return InvertedResidual(channels, expanded, out, kernel_size, stride, nn.SiLU, excite, drop_path=0.1)

    blocks = [block(16, 16, 8), block(8, 48, 12, stride=2), block(12, 48, 12), block(12, 48, 20, 5, stride=2)]
    return MobileNet([*blocks, block(20, 60, 20, 5)], 16, (20, 64), nn.SiLU)


@architecture(images(16))
def shufflenet_v2() -> nn.Module:
    return ShuffleNetV2(16, (32, 64), 64)


@architecture(images(16))
def shufflenet_v2_uneven() -> nn.Module:
    """The widths of the original, whose halves have no half: 58 is twice 29."""
    return ShuffleNetV2(24, (58, 116), 64)
