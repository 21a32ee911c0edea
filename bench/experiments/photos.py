"""Photo crops as MobileNetV2 reads them, split by photo: no photo gives crops to both calibration and check."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.experiments.sources import FOOLBOX, SKIMAGE, locate

SIDE = 224
NAMES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def crops(per_photo: int, directory: Path | None = None, seed: int = 0) -> tuple[Tensor, Tensor]:
    """[n, 3, 224, 224] random crops of every other photo for calibration, and of the rest for the check."""
    folder = locate(FOOLBOX, "foolbox/data", directory)
    files = sorted(folder.glob("imagenet_*.jpg")) + [locate(SKIMAGE, f"skimage/data/{n}", directory) for n in NAMES]
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.cat([_cut(each, per_photo, generator) for each in files[start::2]]) for start in (0, 1)]
    return parts[0], parts[1]


def _cut(file: Path, number: int, generator: torch.Generator) -> Tensor:
    from PIL import Image

    with Image.open(file) as opened:
        photo = opened.convert("RGB")
    scale = 256 / min(photo.size)
    photo = photo.resize((round(photo.width * scale), round(photo.height * scale)), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.array(photo)).permute(2, 0, 1).float().div(255)
    pixels = (pixels - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    found = []
    for _ in range(number):
        top, left = (int(torch.randint(size - SIDE + 1, (), generator=generator)) for size in pixels.shape[1:])
        found.append(pixels[:, top : top + SIDE, left : left + SIDE])
    return torch.stack(found)
