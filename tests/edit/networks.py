"""A small network, its pruning by hand, and an oracle that builds the pruned one from nothing."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from netsculpt.edit.applied import Applied
from netsculpt.edit.transaction import Transaction
from netsculpt.graph.gather import Gather

KEEP_1 = [0, 2, 3, 5, 7]
KEEP_2 = [5, 1, 2, 4]
PLACES = 4


class Net(nn.Module):
    """conv, norm, conv, norm, linear: what pruning has to get right, at its smallest."""

    def __init__(self, first: int = 8, second: int = 6) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, first, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(first)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(second)
        self.pool = nn.AdaptiveAvgPool2d(2)
        self.head = nn.Linear(second * PLACES, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn1(self.conv1(x)).relu()
        x = self.bn2(self.conv2(x)).relu()
        return self.head(self.pool(x).flatten(1))


def make_net(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net().double()


def make_batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(7, 3, 5, 5, generator=generator, dtype=torch.float64)
    return x, torch.randint(5, (7,), generator=generator)


def backward(model: nn.Module, seed: int) -> Tensor:
    x, y = make_batch(seed)
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    return loss.detach()


def train_step(model: nn.Module, seed: int, *optimizers: torch.optim.Optimizer) -> Tensor:
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss = backward(model, seed)
    for optimizer in optimizers:
        optimizer.step()
    return loss


def columns(channels: list[int]) -> list[int]:
    """Columns of the linear layer that belong to channels before the flatten."""
    return [channel * PLACES + place for channel in channels for place in range(PLACES)]


def kept(name: str) -> dict[int, list[int]]:
    """Dim → entries that stay in the tensor of that name."""
    module, key = name.split(".")
    if key == "num_batches_tracked":
        return {}
    rows = {"conv1": KEEP_1, "bn1": KEEP_1, "conv2": KEEP_2, "bn2": KEEP_2}.get(module)
    dims = {} if rows is None else {0: rows}
    if key == "weight" and module in ("conv2", "head"):
        dims[1] = KEEP_1 if module == "conv2" else columns(KEEP_2)
    return dims


def prune(edit: Transaction, before_attributes: Callable[[], None] = lambda: None) -> None:
    for name in dict(edit.model.state_dict()):
        dims = kept(name)
        if dims:
            edit.replace(name, Gather({dim: torch.tensor(index) for dim, index in dims.items()}))
    before_attributes()
    for module, attribute, value in (
        ("conv1", "out_channels", len(KEEP_1)),
        ("conv2", "in_channels", len(KEEP_1)),
        ("bn1", "num_features", len(KEEP_1)),
        ("conv2", "out_channels", len(KEEP_2)),
        ("bn2", "num_features", len(KEEP_2)),
        ("head", "in_features", len(columns(KEEP_2))),
    ):
        edit.set_attribute(module, attribute, value)


def pick(tensor: Tensor, name: str, full: torch.Size) -> Tensor:
    """What pruning leaves of a tensor or a slot, by plain indexing; dims of size 1 that the parameter has not stay."""
    for dim, index in kept(name).items():
        if tensor.shape[dim] == full[dim]:
            tensor = tensor[(slice(None),) * dim + (index,)]
    return tensor.clone()


def pruned_oracle(net: Net) -> Net:
    """The pruned network, built from nothing."""
    small = Net(len(KEEP_1), len(KEEP_2)).double()
    small.load_state_dict({name: pick(tensor, name, tensor.shape) for name, tensor in net.state_dict().items()})
    return small


def trained(seed: int = 0) -> tuple[Net, optim.Adam, AveragedModel, dict[str, Tensor]]:
    net = make_net(seed)
    optimizer = optim.Adam(net.parameters(), lr=0.01, amsgrad=True)
    ema = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    for step in range(2):
        train_step(net, step, optimizer)
        ema.update_parameters(net)
    return net, optimizer, ema, {name: p.detach() * 0.99 for name, p in net.named_parameters()}


def gather(*index: int, dim: int = 0) -> Gather:
    return Gather({dim: torch.tensor(index)})


def pruned(net: nn.Module, *optimizers: optim.Optimizer, emas: Any = (), slots: Any = "copy") -> Applied:
    edit = Transaction(net, optimizers, emas, slots=slots)
    prune(edit)
    return edit.commit()


def groups(net: nn.Module) -> list[dict[str, Any]]:
    named = list(net.named_parameters())
    return [
        {"params": [p for _, p in named if p.dim() > 1]},
        {"params": [p for _, p in named if p.dim() == 1], "weight_decay": 0.0},
    ]


def assert_same_model(model: nn.Module, other: nn.Module) -> None:
    ours, theirs = model.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-12, atol=1e-14, msg=lambda m, n=name: f"{n}: {m}")
