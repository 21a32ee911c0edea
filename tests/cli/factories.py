"""What a user's module may offer to ``inspect`` and ``verify``; the tests copy it to a folder as ``mine``."""

from typing import Any

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """Two layers, for 5 numbers or, with a table, for 5 words."""

    def __init__(self, words: int = 0) -> None:
        super().__init__()
        self.table = nn.Embedding(words, 5) if words else nn.Identity()
        self.first = nn.Linear(5, 6)
        self.second = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(self.table(x))))


class Deceiving(Network):
    """Does something else when it is traced; ``how`` says what."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.expected = float(self.first.bias[0].detach())

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x))
        if not torch.compiler.is_exporting():
            if self.how == "positions":
                hidden = hidden.cumsum(-1)
            elif self.how == "norm":
                hidden = hidden / hidden.square().sum(-1, keepdim=True)
            elif self.how == "complains" and float(self.first.bias[0]) != self.expected:
                raise RuntimeError("the first unit is another one\nand this is the second line")
        return self.second(hidden)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mine = nn.Linear(4, 3)
        self.yours = nn.Linear(6, 3)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.mine(x) * self.yours(y)


class Half(nn.Module):
    """Runs in half precision only."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(5, 6, dtype=torch.bfloat16)
        self.second = nn.Linear(6, 3, dtype=torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x.bfloat16()))


def alone() -> nn.Module:
    return Network()


def with_tensor() -> tuple[nn.Module, Tensor]:
    return Network(), torch.randn(4, 5)


def with_tuple() -> tuple[nn.Module, tuple[Tensor, ...]]:
    return Network(), (torch.randn(4, 5),)


def with_dict() -> tuple[nn.Module, dict[str, Tensor]]:
    return Network(), {"x": torch.randn(4, 5)}


def words() -> nn.Module:
    return Network(words=7)


def half() -> nn.Module:
    return Half()


def positions() -> tuple[nn.Module, Tensor]:
    return Deceiving("positions"), torch.randn(4, 5)


def norm() -> tuple[nn.Module, Tensor]:
    return Deceiving("norm"), torch.randn(4, 5)


def complains() -> tuple[nn.Module, Tensor]:
    return Deceiving("complains"), torch.randn(4, 5)


def nothing_can_change() -> tuple[nn.Module, Tensor]:
    return nn.Linear(5, 3), torch.randn(4, 5)


def wrong_inputs() -> tuple[nn.Module, Tensor]:
    return Network(), torch.randn(4, 9)


def branches() -> tuple[nn.Module, Tensor]:
    class Branches(Network):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if float(x.sum()) > 0 else super().forward(-x)

    return Branches(), torch.randn(4, 5)


def odd_inputs() -> tuple[nn.Module, int]:
    return Network(), 5


def needs_width(width: int) -> nn.Module:
    return nn.Linear(5, width)


def raises() -> nn.Module:
    raise ValueError("no such weights\nsecond line")


def a_list() -> list[Any]:
    return [Network(), torch.randn(4, 5), "and more"]


def a_string() -> str:
    return "network"


instance = Network()
pair = (Network(), torch.randn(4, 5))
number = 3
