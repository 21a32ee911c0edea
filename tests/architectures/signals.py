"""Networks over points, sound and volumes: convolutions of one and three dims."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import architecture, numbers


def pointwise(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv1d(in_channels, out_channels, 1), nn.BatchNorm1d(out_channels), nn.ReLU())


class InputTransform(nn.Module):
    """A 3x3 matrix for each cloud of points, near the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(pointwise(3, 16), pointwise(16, 32))
        self.fc1 = nn.Linear(32, 24)
        self.bn1 = nn.BatchNorm1d(24)
        self.fc2 = nn.Linear(24, 9)
        self.register_buffer("identity", torch.eye(3).flatten())

    def forward(self, x: Tensor) -> Tensor:
        x = torch.max(self.conv(x), 2, keepdim=True)[0].view(-1, 32)
        x = self.fc2(F.relu(self.bn1(self.fc1(x)))) + self.identity
        return x.view(-1, 3, 3)


class PointNet(nn.Module):
    """A class for each point, from the point itself and from all of them."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.transform = InputTransform()
        self.local = pointwise(3, 16)
        self.deep = nn.Sequential(pointwise(16, 24), nn.Conv1d(24, 48, 1), nn.BatchNorm1d(48))
        self.head = nn.Sequential(pointwise(16 + 48, 32), pointwise(32, 16), nn.Conv1d(16, classes, 1))

    def forward(self, points: Tensor) -> Tensor:
        matrix = self.transform(points)
        x = torch.bmm(points.transpose(2, 1), matrix).transpose(2, 1)
        local = self.local(x)
        overall = torch.max(self.deep(local), 2)[0]
        overall = overall.unsqueeze(2).expand(-1, -1, points.size(2))
        scores = self.head(torch.cat([local, overall], 1))
        return F.log_softmax(scores.transpose(2, 1).contiguous(), dim=-1)


class DilatedBlock(nn.Module):
    """Conv-TasNet's block: a residual, which the last has not, and a skip from one depthwise-separable convolution."""

    def __init__(self, channels: int, hidden: int, dilation: int, last: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, hidden, 1)
        self.prelu1 = nn.PReLU()
        self.norm1 = nn.GroupNorm(1, hidden)
        self.depthwise = nn.Conv1d(hidden, hidden, 3, padding=dilation, dilation=dilation, groups=hidden)
        self.prelu2 = nn.PReLU()
        self.norm2 = nn.GroupNorm(1, hidden)
        self.residual = None if last else nn.Conv1d(hidden, channels, 1)
        self.skip = nn.Conv1d(hidden, channels, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out = self.norm1(self.prelu1(self.conv1(x)))
        out = self.norm2(self.prelu2(self.depthwise(out)))
        if self.residual is not None:
            x = x + self.residual(out)
        return x, self.skip(out)


class AudioNet(nn.Module):
    def __init__(self, channels: int = 12, hidden: int = 24, classes: int = 6) -> None:
        super().__init__()
        self.encoder = nn.Conv1d(1, channels, kernel_size=8, stride=4, bias=False)
        self.blocks = nn.ModuleList(DilatedBlock(channels, hidden, 2**i, last=i == 3) for i in range(4))
        self.norm = nn.BatchNorm1d(channels)
        self.classifier = nn.Linear(2 * channels, classes)

    def forward(self, wave: Tensor) -> Tensor:
        x = self.encoder(wave)
        total = torch.zeros_like(x)
        for block in self.blocks:
            x, skip = block(x)
            total = total + skip
        x = self.norm(F.relu(total))
        return self.classifier(torch.cat([x.mean(-1), x.std(-1)], dim=1))


class VideoBlock(nn.Module):
    """A convolution in space, then one in time."""

    def __init__(self, channels: int, middle: int) -> None:
        super().__init__()
        self.spatial = nn.Conv3d(channels, middle, (1, 3, 3), padding=(0, 1, 1), bias=False)
        self.bn1 = nn.BatchNorm3d(middle)
        self.temporal = nn.Conv3d(middle, channels, (3, 1, 1), padding=(1, 0, 0), bias=False)
        self.bn2 = nn.BatchNorm3d(channels)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.spatial(x)))
        return F.relu(x + self.bn2(self.temporal(out)))


class VideoNet(nn.Module):
    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = nn.Conv3d(3, 8, 3, stride=(1, 2, 2), padding=1)
        self.block1 = VideoBlock(8, 12)
        self.pool = nn.MaxPool3d(2)
        self.widen = nn.Conv3d(8, 16, 3, padding=1)
        self.block2 = VideoBlock(16, 20)
        self.fc = nn.Linear(16, classes)

    def forward(self, video: Tensor) -> Tensor:
        x = self.pool(self.block1(F.relu(self.stem(video))))
        x = self.block2(F.elu(self.widen(x)))
        x = F.adaptive_avg_pool3d(x, 1)
        return self.fc(x.flatten(1))


@architecture(numbers((2, 3, 32)))
def pointnet() -> nn.Module:
    return PointNet()


@architecture(numbers((2, 1, 128)))
def audio_net() -> nn.Module:
    return AudioNet()


@architecture(numbers((2, 3, 4, 12, 12)))
def conv3d_net() -> nn.Module:
    return VideoNet()
