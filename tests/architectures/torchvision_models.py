"""Models of torchvision with narrow settings where it takes any, and random weights; nothing is downloaded."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from tests.architectures.core import TORCHVISION, Inputs, architecture, images
from tests.architectures.optional import import_torchvision


def model(inputs: Callable[[], Inputs]) -> Callable[[Callable[[], nn.Module]], Any]:
    return architecture(inputs, TORCHVISION)


def torchvision_models() -> Any:
    import_torchvision()
    from torchvision import models

    return models


@model(images(48))
def tv_resnet() -> nn.Module:
    resnet = torchvision_models().resnet
    return resnet.ResNet(resnet.BasicBlock, [1, 1, 1, 1], num_classes=10)


@model(images(48))
def tv_resnext() -> nn.Module:
    """Bottlenecks with four groups."""
    resnet = torchvision_models().resnet
    return resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], num_classes=10, groups=4, width_per_group=4)


@model(images(64))
def tv_densenet() -> nn.Module:
    return torchvision_models().DenseNet(8, (2, 3, 2, 2), num_init_features=16, bn_size=2, num_classes=10)


@model(images(32))
def tv_mobilenet_v2() -> nn.Module:
    settings = [[1, 8, 1, 1], [4, 12, 2, 2], [4, 20, 2, 2]]
    return torchvision_models().MobileNetV2(num_classes=10, inverted_residual_setting=settings, width_mult=0.5)


@model(images(32))
def tv_mobilenet_v3() -> nn.Module:
    models = torchvision_models()
    block = partial(models.mobilenetv3.InvertedResidualConfig, dilation=1, width_mult=1.0)
    blocks = [
        block(16, 3, 16, 16, True, "RE", 2),
        block(16, 3, 40, 24, False, "RE", 2),
        block(24, 5, 64, 32, True, "HS", 1),
        block(32, 5, 64, 32, True, "HS", 1),
    ]
    return models.MobileNetV3(blocks, last_channel=64, num_classes=10)


@model(images(64))
def tv_shufflenet_v2() -> nn.Module:
    return torchvision_models().ShuffleNetV2([2, 2, 2], [24, 58, 116, 232, 64], num_classes=10)


@model(images(32))
def tv_efficientnet() -> nn.Module:
    models = torchvision_models()
    block = partial(models.efficientnet.MBConvConfig, width_mult=0.5, depth_mult=1.0)
    blocks = [block(1, 3, 1, 32, 16, 1), block(4, 3, 2, 16, 24, 2), block(4, 5, 2, 24, 40, 1)]
    return models.EfficientNet(blocks, dropout=0.1, num_classes=10)


@model(images(64))
def tv_regnet() -> nn.Module:
    """With squeeze and excitation."""
    regnet = torchvision_models().regnet
    settings = regnet.BlockParams.from_init_params(depth=4, w_0=24, w_a=16.0, w_m=2.0, group_width=8, se_ratio=0.25)
    return regnet.RegNet(settings, num_classes=10, stem_width=24)


@model(images(32))
def tv_convnext() -> nn.Module:
    models = torchvision_models()
    block = models.convnext.CNBlockConfig
    return models.ConvNeXt([block(16, 32, 2), block(32, None, 2)], num_classes=10)


@model(images(16))
def tv_vit() -> nn.Module:
    return torchvision_models().VisionTransformer(
        image_size=16, patch_size=4, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=48, num_classes=10
    )


@model(images(32))
def tv_swin() -> nn.Module:
    return torchvision_models().SwinTransformer(
        patch_size=[2, 2], embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=[4, 4], num_classes=10
    )


@model(images(32))
def tv_maxvit() -> nn.Module:
    return torchvision_models().MaxVit(
        input_size=(32, 32),
        stem_channels=16,
        partition_size=4,
        block_channels=[16, 32],
        block_layers=[1, 1],
        head_dim=8,
        stochastic_depth_prob=0.1,
        num_classes=10,
    )


@model(images(64))
def tv_squeezenet() -> nn.Module:
    return torchvision_models().squeezenet1_1(num_classes=10)
