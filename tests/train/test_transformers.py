"""A user's own `transformers` model grows in five lines."""

import pytest
import torch
from torch import Tensor, optim
from torch.nn import functional as F

import netsculpt as ns
from netsculpt.measure.units import find_units
from tests.architectures.optional import import_torchvision, missing

if missing("torchvision") is None:
    import_torchvision()  # transformers imports it wherever it finds it
transformers = pytest.importorskip("transformers")


def test_a_vit_grows_within_its_budget() -> None:
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24, image_size=16, patch_size=8,
        num_labels=3, hidden_act="gelu",
    )  # fmt: skip
    model = transformers.ViTForImageClassification(config).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # far from the straight part of its functions
    images, labels = torch.randn(12, 3, 16, 16, dtype=torch.float64), torch.randint(0, 3, (12,))
    optimizer = optim.AdamW(model.parameters(), lr=1e-3)
    loader = [{"pixel_values": images[:8], "labels": labels[:8]}, {"pixel_values": images[8:], "labels": labels[8:]}]

    def loss_fn(answer: object, batch: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(answer.logits, batch["labels"])  # type: ignore[attr-defined]

    sculptor = ns.Sculptor(model, {"pixel_values": images}, optimizer)
    schedule = ns.GrowSchedule(
        sculptor, loader, loss_fn, budget=ns.Budget(params="125%"), every=1, share=0.2, step=0.005
    )
    _, reasons = find_units(sculptor.graph)
    assert any("units are mixed on their way" in reason for reason in reasons.values())
    start = sum(each.numel() for each in model.parameters())
    model.train()
    for _ in range(3):
        optimizer.zero_grad()
        loss = loss_fn(model(pixel_values=images), {"labels": labels})
        loss.backward()
        optimizer.step()
        schedule.step(loss.item())
    end = sum(each.numel() for each in model.parameters())
    assert start < end <= 1.25 * start
    assert model(pixel_values=images, labels=labels).loss.isfinite()
    for each in schedule.grown:
        assert each.predicted is not None and each.predicted < 0
        assert each.measured == pytest.approx(each.predicted, rel=0.1)
    widths = {layer.in_features for name, layer in model.named_modules() if name.endswith(("fc2", "output.dense"))}
    assert max(widths) > 24
