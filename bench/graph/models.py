"""The models that are traced and pruned, in full size with random weights, and inputs for them."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from tests.architectures.dense import DenseNet
from tests.architectures.language import GPT2
from tests.architectures.language import VOCABULARY as OWN_VOCABULARY
from tests.architectures.optional import import_torchvision, missing
from tests.architectures.vision_transformers import Block, VisionTransformer


class Model(NamedTuple):
    """`title` for the tables; `needs`: the package that it comes from, where it is not our own definition."""

    title: str
    build: Callable[[], nn.Module]
    inputs: Callable[[int], dict[str, Tensor] | tuple[Tensor, ...]]
    needs: str | None = None

    def missing(self) -> str | None:
        return missing(self.needs) if self.needs else None


def images(batch: int, size: int = 224) -> tuple[Tensor, ...]:
    return (torch.randn(batch, 3, size, size),)


def tokens(batch: int, length: int = 64) -> tuple[Tensor, ...]:
    return (torch.randint(0, OWN_VOCABULARY, (batch, length)),)


def sentences(batch: int) -> dict[str, Tensor]:
    return {"input_ids": tokens(batch)[0]}


def vit(layers: int, width: int, heads: int, image: int = 224, patch: int = 16) -> nn.Module:
    blocks = nn.Sequential(*(Block(width, heads, 4 * width) for _ in range(layers)))
    return VisionTransformer(blocks, width, image=image, patch=patch, classes=1000)


def gpt2(layers: int, width: int, heads: int) -> nn.Module:
    return GPT2(n_embd=width, n_head=heads, n_layer=layers, positions=1024)


def transformers_gpt2(layers: int, width: int, heads: int) -> nn.Module:
    if missing("torchvision") is None:
        import_torchvision()
    import transformers

    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_layer=layers, n_embd=width, n_head=heads, use_cache=False)
    )


def torchvision(name: str) -> nn.Module:
    import_torchvision()
    from torchvision import models

    return getattr(models, name)()


def _torchvision(title: str, name: str) -> tuple[str, Model]:
    return name, Model(title, partial(torchvision, name), images, "torchvision")


MODELS: dict[str, Model] = dict(
    [
        _torchvision("ResNet-50", "resnet50"),
        _torchvision("ViT-B/16", "vit_b_16"),
        ("vit_own", Model("ViT-B/16, own", partial(vit, 12, 768, 12), images)),
        ("gpt2", Model("GPT-2, transformers", partial(transformers_gpt2, 12, 768, 12), sentences, "transformers")),
        ("gpt2_own", Model("GPT-2, own", partial(gpt2, 12, 768, 12), tokens)),
        _torchvision("DenseNet-121", "densenet121"),
        _torchvision("VGG-16-BN", "vgg16_bn"),
        _torchvision("Swin-T", "swin_t"),
        _torchvision("MaxViT-T", "maxvit_t"),
        _torchvision("ShuffleNetV2", "shufflenet_v2_x1_0"),
        ("densenet_own", Model("DenseNet, own, tiny", DenseNet, partial(images, size=16))),
    ]
)
TRACED = [name for name in MODELS if name != "densenet_own"]
COMPARED = ["densenet121", "vgg16_bn", "resnet50", "swin_t", "maxvit_t", "shufflenet_v2_x1_0"]

SMALL = {"width": 64, "heads": 4}
FAMILIES: dict[str, tuple[str, Callable[[int], Model]]] = {
    "gpt2": (
        "GPT-2, transformers",
        lambda layers: Model("", partial(transformers_gpt2, layers, **SMALL), sentences, "transformers"),
    ),
    "gpt2_own": ("GPT-2, own", lambda layers: Model("", partial(gpt2, layers, **SMALL), tokens)),
    "vit_own": (
        "ViT, own",
        lambda layers: Model("", partial(vit, layers, **SMALL, image=32, patch=8), partial(images, size=32)),
    ),
}
DEPTHS = (12, 24, 48)


def find(name: str) -> Model:
    """A model by its name; `gpt2_own@24` is the family's narrow one with that many layers."""
    family, _, layers = name.partition("@")
    return FAMILIES[family][1](int(layers)) if layers else MODELS[family]


def make(name: str, batch: int) -> tuple[nn.Module, Any]:
    """The model in eval mode, the same at every call, and its inputs."""
    torch.manual_seed(0)
    model = find(name)
    return model.build().eval(), model.inputs(batch)
