"""The experiment on Fashion-MNIST in small: every way runs on a network of that kind, and the tables hold its lines."""

import torch

from bench.experiments.convnets import make
from bench.experiments.data import Images
from bench.experiments.prune_fashion import pruned, ways
from bench.experiments.prune_fashion_tables import curves, report


def test_ways_lines_and_tables() -> None:
    model = make("vgg").eval()
    pictures = torch.randn(64, 1, 28, 28)
    with torch.no_grad():
        model[-1].bias -= model(pictures).mean(0)
        data = Images(pictures, model(pictures).argmax(1))
    names = ["local, refit", "l2", "taylor", "random + our refit"]
    assert set(names) <= set(ways())
    lines = [line | {"network": "vgg", "seed": 0} for line in pruned(model, data, data, [0.6], names)]
    assert [line["way"] for line in lines] == names
    assert all(line.pop("model") is not None and line["macs"] <= 0.6 * line["of"] for line in lines)
    by_way = {line["way"]: line for line in lines}
    assert by_way["local, refit"]["accuracy"] > by_way["l2"]["accuracy"]
    lines.append({"network": "vgg", "seed": 0, "way": "unpruned", "share": 1.0, "accuracy": 1.0})
    lines.append({**by_way["l2"], "way": "L2", "ranking": "local", "share": 0.52, "peer": True, "seed": 0})
    text = report([{"machine": {"CPU": "some"}, "calibration": 64, "lines": lines}])
    assert "| unpruned | 1 | 1 |" in text and "| torch-pruning L2, local | 0.5 | 1 |" in text
    best = max(by_way[name]["accuracy"] for name in ("l2", "taylor"))
    assert curves(lines)["best criterion"] == {0.6: best}
