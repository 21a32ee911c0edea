"""The small residual network whose units both sides score, and its data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EXAMPLES = 16


class Block(nn.Module):
    """Two convolutions beside the identity, or beside a third one that halves the picture."""

    def __init__(self, enter: int, leave: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(enter, leave, 3, stride, 1, bias=False), nn.BatchNorm2d(leave)
        self.conv2, self.bn2 = nn.Conv2d(leave, leave, 3, 1, 1, bias=False), nn.BatchNorm2d(leave)
        self.shortcut = nn.Conv2d(enter, leave, 1, stride, bias=False) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.shortcut(x) + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class SmallResNet(nn.Module):
    """A stem and three blocks of 8, 8 and 16 channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.blocks = nn.Sequential(Block(8, 8, 1), Block(8, 16, 2), Block(16, 16, 1))
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.blocks(F.relu(self.bn(self.conv(x)))).mean((2, 3)))


def made(seed: int = 0) -> tuple[SmallResNet, Tensor, Tensor]:
    """The network in eval mode with norms as after some training, pictures and their classes."""
    torch.manual_seed(seed)
    model = SmallResNet().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return model, torch.randn(EXAMPLES, 3, 12, 12), torch.randint(0, 10, (EXAMPLES,))
