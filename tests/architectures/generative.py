"""Networks whose output is an image."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.architectures.core import Inputs, architecture, images, numbers


class Generator(nn.Module):
    """DCGAN's generator."""

    def __init__(self, latent: int = 16, width: int = 8) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(latent, width * 4, 4, 1, 0, bias=False),
            nn.BatchNorm2d(width * 4),
            nn.ReLU(True),
            nn.ConvTranspose2d(width * 4, width * 2, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width * 2),
            nn.ReLU(True),
            nn.ConvTranspose2d(width * 2, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(True),
            nn.ConvTranspose2d(width, 3, 3, 1, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, noise: Tensor) -> Tensor:
        return self.main(noise.view(noise.size(0), -1, 1, 1))


class Autoencoder(nn.Module):
    def __init__(self, code: int = 12) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(16 * 4 * 4, code),
        )
        self.decoder = nn.Sequential(
            nn.Linear(code, 16 * 4 * 4),
            nn.ReLU(),
            nn.Unflatten(1, (16, 4, 4)),
            nn.ConvTranspose2d(16, 8, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 3, 3, stride=2, padding=1, output_padding=1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class StyleResidual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(1)
        self.conv1 = nn.Conv2d(channels, channels, 3)
        self.in1 = nn.InstanceNorm2d(channels, affine=True)
        self.conv2 = nn.Conv2d(channels, channels, 3)
        self.in2 = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.in1(self.conv1(self.pad(x))))
        return self.in2(self.conv2(self.pad(out))) + x


class StyleTransfer(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.ReflectionPad2d(2), nn.Conv2d(3, width, 5), nn.InstanceNorm2d(width, affine=True))
        self.conv2 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, padding_mode="reflect")
        self.in2 = nn.InstanceNorm2d(2 * width)
        self.residuals = nn.Sequential(StyleResidual(2 * width), StyleResidual(2 * width))
        self.up = nn.Conv2d(2 * width, width, 3, padding=1)
        self.in3 = nn.InstanceNorm2d(width, affine=True)
        self.out = nn.Sequential(nn.ReflectionPad2d(2), nn.Conv2d(width, 3, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv1(x))
        x = self.residuals(F.relu(self.in2(self.conv2(x))))
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return self.out(F.relu(self.in3(self.up(x))))


class SuperResolutionBlock(nn.Module):
    def __init__(self, channels: int, res_scale: float = 0.5) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(True), nn.Conv2d(channels, channels, 3, padding=1)
        )
        self.res_scale = res_scale

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).mul(self.res_scale) + x


class SuperResolution(nn.Module):
    """EDSR: channels become pixels twice, and pixels become channels once."""

    def __init__(self, width: int = 16, scale: int = 2) -> None:
        super().__init__()
        self.head = nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(3 * 4, width, 3, padding=1))
        self.body = nn.Sequential(SuperResolutionBlock(width), SuperResolutionBlock(width))
        self.upsample = nn.Sequential(nn.Conv2d(width, width * scale**2, 3, padding=1), nn.PixelShuffle(scale))
        self.tail = nn.Sequential(nn.PReLU(width), nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale))

    def forward(self, x: Tensor) -> Tensor:
        x = self.head(x)
        return self.tail(self.upsample(self.body(x) + x))


class TimeResidual(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, time: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(4, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(time, 2 * out_channels)
        self.norm2 = nn.GroupNorm(4, out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.skip = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.time(F.silu(time))[:, :, None, None].chunk(2, dim=1)
        h = self.norm2(h) * (1 + scale) + shift
        return self.conv2(F.silu(h)) + self.skip(x)


class DiffusionUNet(nn.Module):
    """The noise in an image at a time: group norms, a scale and shift from the time, one attention head."""

    def __init__(self, width: int = 8, time: int = 16) -> None:
        super().__init__()
        self.width = width
        self.time = nn.Sequential(nn.Linear(width, time), nn.SiLU(), nn.Linear(time, time))
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.down1 = TimeResidual(width, width, time)
        self.shrink = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.down2 = TimeResidual(2 * width, 2 * width, time)
        self.norm = nn.GroupNorm(4, 2 * width)
        self.qkv = nn.Conv1d(2 * width, 6 * width, 1)
        self.proj = nn.Conv1d(2 * width, 2 * width, 1)
        self.up2 = TimeResidual(4 * width, 2 * width, time)
        self.grow = nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1)
        self.up1 = TimeResidual(2 * width, width, time)
        self.out = nn.Sequential(nn.GroupNorm(4, width), nn.SiLU(), nn.Conv2d(width, 3, 3, padding=1))

    def attention(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x).view(b, c, h * w)).chunk(3, dim=1)
        weights = torch.softmax(torch.bmm(q.transpose(1, 2), k) * c**-0.5, dim=-1)
        return x + self.proj(torch.bmm(v, weights.transpose(1, 2))).view(b, c, h, w)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        half = self.width // 2
        frequencies = torch.exp(-math.log(100.0) / half * torch.arange(half, dtype=x.dtype, device=x.device))
        angles = time[:, None].to(x.dtype) * frequencies[None, :]
        embedded = self.time(torch.cat([angles.sin(), angles.cos()], dim=1))
        skip1 = self.down1(self.stem(x), embedded)
        skip2 = self.down2(self.shrink(skip1), embedded)
        x = self.attention(skip2)
        x = self.up2(torch.cat([x, skip2], dim=1), embedded)
        x = self.up1(torch.cat([self.grow(x), skip1], dim=1), embedded)
        return self.out(x)


def noisy_images() -> Inputs:
    return (*images(8)(), torch.tensor([3, 60]))


@architecture(numbers((2, 16)))
def gan_generator() -> nn.Module:
    return Generator()


@architecture(images(16))
def autoencoder() -> nn.Module:
    return Autoencoder()


@architecture(images(16))
def style_transfer() -> nn.Module:
    return StyleTransfer()


@architecture(images(16))
def super_resolution() -> nn.Module:
    return SuperResolution()


@architecture(noisy_images)
def diffusion_unet() -> nn.Module:
    return DiffusionUNet()
