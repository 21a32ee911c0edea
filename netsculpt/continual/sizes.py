"""What a pool and its tasks take, against a network for every task."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor

from netsculpt.continual.pool import Pool
from netsculpt.continual.private import tensors_of


class TaskSize(NamedTuple):
    """Sizes of one task; numbers are those in parameters and running statistics.

    Attributes:
        name: of the task.
        units: of the pool that it uses, over all axes.
        mask: bytes of its masks, one bit for every unit of the pool as it is.
        private: numbers that are its own.
        network: numbers of the network that ``task`` returns.
    """

    name: str
    units: int
    mask: int
    private: int
    network: int


class Sizes(NamedTuple):
    """Sizes of everything; ``print`` shows a table.

    Attributes:
        pool: numbers in shared tensors.
        units: of the pool, over all axes.
        tasks: by task, in the order in which they were learnt.
    """

    pool: int
    units: int
    tasks: tuple[TaskSize, ...]

    @property
    def total(self) -> int:
        """Numbers of the pool and of everything private."""
        return self.pool + sum(task.private for task in self.tasks)

    @property
    def apart(self) -> int:
        """Numbers of a network for every task, each as small as the task's cut is."""
        return sum(task.network for task in self.tasks)

    def __str__(self) -> str:
        head = ("task", "units", "mask bytes", "private", "as a network of its own")
        rows = [(t.name, *(f"{n:,}" for n in t[1:])) for t in self.tasks]
        ends = [
            ("pool", f"{self.units:,}", "", f"{self.pool:,}", ""),
            ("total", "", f"{sum(t.mask for t in self.tasks):,}", f"{self.total:,}", f"{self.apart:,}"),
        ]
        lines = [head, *rows, *ends]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        return "\n".join(
            "  ".join(
                cell.ljust(width) if not at else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        )


def sizes_of(pool: Pool) -> Sizes:
    """The sizes of a pool and its tasks."""
    units = sum(axis.size for axis in pool.axes)
    tasks = []
    for name, task in pool.tasks.items():
        used = sum(len(mask) for mask in task.masks.values())
        network = {id(each): each for each in tensors_of(pool.task(name)).values()}
        tasks.append(TaskSize(name, used, -(-units // 8), _numbers(task.private.values()), _numbers(network.values())))
    return Sizes(_numbers(pool.shared.values()), units, tuple(tasks))


def _numbers(tensors: Iterable[Tensor]) -> int:
    return sum(each.numel() for each in tensors if each.is_floating_point())
