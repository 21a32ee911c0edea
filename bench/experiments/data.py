"""Fashion-MNIST from the Debian package, its files checked against the hashes that the results were made with."""

import gzip
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

DIRECTORY = Path("/usr/share/datasets/fashion-mnist")
SHA256 = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}


class Images(NamedTuple):
    """[n, 1, 28, 28] float, standardised by the training pictures, and their [n] labels."""

    pictures: Tensor
    labels: Tensor

    def take(self, rows: Tensor) -> "Images":
        return Images(self.pictures[rows], self.labels[rows])

    def batches(self, size: int) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self.pictures.split(size), self.labels.split(size), strict=True))


def load(directory: Path, examples: int) -> tuple[Images, Images]:
    """The same ``examples`` training pictures at every call, and all 10,000 test pictures.

    Raises:
        SystemExit: the files are not there, or are not those that are known.
    """
    parts = [_read(directory, name) for name in SHA256]
    train, test = Images(_scaled(parts[0]), parts[1].long()), Images(_scaled(parts[2]), parts[3].long())
    rows = torch.randperm(len(train.labels), generator=torch.Generator().manual_seed(0))[:examples]
    mean, std = train.pictures.mean(), train.pictures.std()
    train, test = (Images((each.pictures - mean) / std, each.labels) for each in (train, test))
    return train.take(rows), test


def _scaled(pixels: Tensor) -> Tensor:
    return pixels.float().div(255).unsqueeze(1)


def _read(directory: Path, name: str) -> Tensor:
    file = directory / name
    if not file.exists():
        raise SystemExit(
            f"no {name} in {directory}: apt install dataset-fashion-mnist, or name its directory with --data"
        )
    packed = file.read_bytes()
    if hashlib.sha256(packed).hexdigest() != SHA256[name]:
        raise SystemExit(f"{file} is not the file that this experiment knows: its SHA-256 is another")
    return idx(gzip.decompress(packed))


def idx(raw: bytes) -> Tensor:
    """The bytes of an IDX file of unsigned bytes, as MNIST and Fashion-MNIST have them."""
    sizes = np.frombuffer(raw, ">i4", count=raw[3], offset=4)
    values = np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3])
    return torch.from_numpy(values.reshape(sizes).copy())
