"""How fast this machine can be at best: bandwidth at a footprint, and the rate of matrix products.

All measured through torch on the device and threads of the benchmark, so "achievable" and not what a data sheet says.
The time of an op is at least max(bytes / bandwidth, flops / rate); the larger of the two names what bounds it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch.utils.benchmark import Timer

SMALLEST = 1 << 20  # bytes; below, the cost of a call hides the memory's speed
LARGEST = 1 << 29


def best_time(run: Callable[[], object], threads: int, seconds: float = 0.4) -> float:
    """Seconds for one call at its quickest: a roof is what the machine can do, not what it does on average."""
    timer = Timer("run()", globals={"run": run}, num_threads=threads)
    return min(timer.blocked_autorange(min_run_time=seconds).times)


def rounded(footprint: float) -> int:
    """The power of two next to a footprint, within what is measured."""
    size = SMALLEST
    while size < LARGEST and size * 1.5 < footprint:
        size *= 2
    return size


@dataclass
class Roofline:
    """Measured once per footprint and kept; ``gemm`` is in float32 operations per second."""

    device: str
    threads: int
    gemm: float = 0.0
    read: dict[int, float] = field(default_factory=dict)  # footprint in bytes -> bytes per second
    copy: dict[int, float] = field(default_factory=dict)

    def measure(self) -> None:
        """The two figures for the header: bandwidth well past every cache, and the matrix rate."""
        self.gemm = self._gemm_rate(8192 if self.device == "cuda" else 2048)
        self.bandwidth(LARGEST)

    def _gemm_rate(self, size: int) -> float:
        a, b = (torch.randn(size, size, device=self.device) for _ in range(2))
        out = torch.empty_like(a)
        return 2 * size**3 / best_time(lambda: torch.mm(a, b, out=out), self.threads, seconds=1.0)

    def bandwidth(self, footprint: float) -> float:
        """Bytes per second when that many bytes are used again and again, by reading or by copying them."""
        size = rounded(footprint)
        if size not in self.read:
            x = torch.ones(size // 4, device=self.device)
            readers: list[Callable[[], object]] = [x.sum, x.amax, lambda: torch.dot(x, x)]
            self.read[size] = size / min(best_time(reader, self.threads) for reader in readers)
            half, source = torch.empty(size // 8, device=self.device), x[: size // 8]
            self.copy[size] = size / best_time(lambda: half.copy_(source), self.threads)
        # No footprint is slower than the largest: where it seems so, something else was running meanwhile.
        return max(table.get(at, 0.0) for table in (self.read, self.copy) for at in (size, LARGEST))

    def bound(self, bytes_moved: float, flops: float) -> tuple[float, str]:
        """The least time in seconds, and what sets it: "memory" or "arithmetic"."""
        memory = bytes_moved / self.bandwidth(bytes_moved)
        arithmetic = flops / self.gemm
        return (memory, "memory") if memory >= arithmetic else (arithmetic, "arithmetic")

    def describe(self) -> dict[str, str]:
        """For the header, in GB/s and GFLOP/s."""
        return {
            "read": f"{self.read[LARGEST] / 1e9:.1f} GB/s",
            "copy": f"{self.copy[LARGEST] / 1e9:.1f} GB/s",
            "matrix product": f"{self.gemm / 1e9:.0f} GFLOP/s (float32, {self.threads} threads)"
            if self.device == "cpu"
            else f"{self.gemm / 1e12:.1f} TFLOP/s (float32)",
        }
