"""Table of `prune_mobilenet` and `peer_mobilenet`: `python -m … FILE.json [PEER.jsonl] --markdown M`."""

import argparse
import json
from pathlib import Path
from typing import Any

from bench.experiments.split_fashion_tables import table

Line = dict[str, Any]


def report(found: Line, peer: list[Line]) -> str:
    head = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    seen, unseen = found["crops"]
    text = (
        f"{head}. The ImageNet MobileNetV2, pruned on {seen} crops of 13 photos without labels and without "
        f"fine-tuning; {unseen} crops of 12 other photos tell how far its answers moved: share of equal first answers, "
        "mean Kullback-Leibler divergence of the softmax, and relative error of the 1280 features where they are as "
        "many. *Anew*: the same with batch norms measured anew on the first crops. Transfer: accuracy on 1,000 test "
        "pictures of Fashion-MNIST of a ridge regression from the features, fitted to 2,000, norms measured anew."
    )
    lines = [line for line in found["lines"] if line["way"] != "unpruned"]
    lines += [line | {"way": f"torch-pruning {line['way']}, {line['ranking']}"} for line in peer]
    rows = [row(line) for line in sorted(lines, key=lambda line: -line["share"])]
    (whole,) = (line for line in found["lines"] if line["way"] == "unpruned")
    sizes = [f"{whole['params']:,}", f"{whole['macs']:,}"]
    transfer = f"{100 * whole['transfer']:.1f} %" if "transfer" in whole else ""
    rows.insert(0, ["unpruned", "100 %", *sizes, "100 %", "0", "0", "", "", transfer, ""])
    columns = ["way", "MACs left", "parameters", "MACs", "agreement", "KL", "features", "agreement anew", "KL anew"]
    return f"{text}\n\n{table([*columns, 'transfer', 'seconds'], rows)}\n"


def row(line: Line) -> list[str]:
    own, anew = line["agreement"], line["recalibrated"]
    features = own.get("features")
    return [
        line["way"],
        f"{100 * line['share']:.1f} %",
        f"{line['params']:,}",
        f"{line['macs']:,}",
        f"{100 * own['top1']:.1f} %",
        f"{own['kl']:.2f}",
        "" if features is None else f"{features:.2f}",
        f"{100 * anew['top1']:.1f} %",
        f"{anew['kl']:.2f}",
        f"{100 * line['transfer']:.1f} %" if "transfer" in line else "",
        f"{line['seconds']:.1f}" if "seconds" in line else "",
    ]


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.experiments.prune_mobilenet_tables", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("peer", type=Path, nargs="?")
    parser.add_argument("--markdown", type=Path, help="write the table to this file too")
    options = parser.parse_args(given)
    peer = [] if options.peer is None else [json.loads(line) for line in options.peer.read_text().splitlines()]
    text = report(json.loads(options.file.read_text()), peer)
    print(text)
    if options.markdown:
        options.markdown.write_text(text)


if __name__ == "__main__":
    main()
