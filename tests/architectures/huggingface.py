"""Models of transformers from tiny configurations, with random weights; nothing is downloaded."""

from collections.abc import Callable
from typing import Any

from torch import nn

from tests.architectures.core import TRANSFORMERS, Inputs, architecture, images, named, tokens
from tests.architectures.language import padded_sentences
from tests.architectures.optional import import_torchvision, missing

VOCABULARY = 40

sentences = named(tokens(VOCABULARY, 10), "input_ids")


def pixels(size: int) -> Callable[[], Inputs]:
    return named(images(size), "pixel_values")


def model(inputs: Callable[[], Inputs]) -> Callable[[Callable[[], nn.Module]], Any]:
    return architecture(inputs, TRANSFORMERS)


def create(model_class: str, config_class: str, **config: Any) -> nn.Module:
    """``model_class(config_class(**config))`` of transformers, which is imported now and not before."""
    if missing("torchvision") is None:
        import_torchvision()
    import transformers

    return getattr(transformers, model_class)(getattr(transformers, config_class)(**config))


@model(pixels(32))
def hf_resnet() -> nn.Module:
    return create(
        "ResNetForImageClassification",
        "ResNetConfig",
        embedding_size=16,
        hidden_sizes=[16, 32],
        depths=[2, 2],
        layer_type="basic",
        num_labels=5,
    )


@model(pixels(64))
def hf_mobilenet_v2() -> nn.Module:
    return create(
        "MobileNetV2ForImageClassification",
        "MobileNetV2Config",
        image_size=64,
        depth_multiplier=0.25,
        finegrained_output=False,
        num_labels=5,
    )


@model(pixels(16))
def hf_vit() -> nn.Module:
    return create(
        "ViTForImageClassification",
        "ViTConfig",
        image_size=16,
        patch_size=4,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        num_labels=5,
    )


@model(pixels(32))
def hf_convnext() -> nn.Module:
    return create(
        "ConvNextForImageClassification",
        "ConvNextConfig",
        num_stages=2,
        hidden_sizes=[16, 32],
        depths=[2, 2],
        num_labels=5,
    )


@model(pixels(32))
def hf_swin() -> nn.Module:
    return create(
        "SwinForImageClassification",
        "SwinConfig",
        image_size=32,
        patch_size=2,
        embed_dim=16,
        depths=[2, 2],
        num_heads=[2, 4],
        window_size=4,
        num_labels=5,
    )


@model(pixels(64))
def hf_regnet() -> nn.Module:
    return create(
        "RegNetForImageClassification",
        "RegNetConfig",
        embedding_size=16,
        hidden_sizes=[16, 24, 32, 48],
        depths=[1, 2, 1, 1],
        groups_width=8,
        num_labels=5,
    )


@model(pixels(32))
def hf_efficientnet() -> nn.Module:
    return create(
        "EfficientNetForImageClassification",
        "EfficientNetConfig",
        image_size=32,
        width_coefficient=0.25,
        depth_coefficient=1.0,
        kernel_sizes=[3, 3, 5],
        in_channels=[32, 64, 96],
        out_channels=[64, 96, 160],
        depthwise_padding=[],
        strides=[1, 2, 2],
        num_block_repeats=[1, 2, 1],
        expand_ratios=[1, 4, 4],
        hidden_dim=320,
        num_labels=5,
    )


@model(pixels(16))
def hf_clip_vision() -> nn.Module:
    return create(
        "CLIPVisionModel",
        "CLIPVisionConfig",
        image_size=16,
        patch_size=4,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
    )


@model(padded_sentences)
def hf_bert() -> nn.Module:
    return create(
        "BertForSequenceClassification",
        "BertConfig",
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=16,
        num_labels=3,
    )


@model(padded_sentences)
def hf_distilbert() -> nn.Module:
    return create(
        "DistilBertForSequenceClassification",
        "DistilBertConfig",
        vocab_size=VOCABULARY,
        dim=32,
        n_layers=2,
        n_heads=4,
        hidden_dim=48,
        max_position_embeddings=16,
        num_labels=3,
        attn_implementation="eager",
    )


@model(sentences)
def hf_gpt2() -> nn.Module:
    return create(
        "GPT2LMHeadModel",
        "GPT2Config",
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=16,
        use_cache=False,
        bos_token_id=1,
        eos_token_id=1,
        attn_implementation="eager",
    )


@model(sentences)
def hf_llama() -> nn.Module:
    return create(
        "LlamaForCausalLM",
        "LlamaConfig",
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=16,
        use_cache=False,
    )


@model(sentences)
def hf_qwen3() -> nn.Module:
    """Heads wider than the model's width has for them, each normalised."""
    return create(
        "Qwen3ForCausalLM",
        "Qwen3Config",
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=12,
        max_position_embeddings=16,
        tie_word_embeddings=True,
        use_cache=False,
    )


@model(named(tokens(VOCABULARY, 10, 8), "input_ids", "decoder_input_ids"))
def hf_t5() -> nn.Module:
    return create(
        "T5ForConditionalGeneration",
        "T5Config",
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=2,
        num_heads=3,
        relative_attention_num_buckets=8,
        relative_attention_max_distance=16,
        use_cache=False,
        feed_forward_proj="gated-gelu",
    )
