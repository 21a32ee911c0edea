"""Everything that a rolled-back edit must leave as it was: objects, order, and every bit."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Item = tuple[str, Any, Any]


def _tensor(label: str, tensor: Tensor) -> Iterator[Item]:
    yield label, tensor, tensor.detach().clone()
    yield f"{label} strides", None, (tensor.stride(), tensor.dtype, tensor.requires_grad)
    if tensor.grad is not None:
        yield f"{label} grad", tensor.grad, tensor.grad.clone()
    yield f"{label} attributes", None, sorted(vars(tensor))


def _thing(label: str, thing: Any) -> Iterator[Item]:
    if isinstance(thing, Tensor):
        yield from _tensor(label, thing)
    elif isinstance(thing, nn.Module):
        yield label, thing, None
    elif isinstance(thing, Mapping):
        yield label, thing, None
        for number, (key, value) in enumerate(thing.items()):
            yield f"{label} key {number}", key, None
            yield from _thing(f"{label}[{number}]", value)
    elif isinstance(thing, (list, tuple)):
        yield label, thing, len(thing)
        for number, value in enumerate(thing):
            yield from _thing(f"{label}[{number}]", value)
    else:
        yield label, None if isinstance(thing, (int, float, str)) else thing, repr(thing)


def _all(modules: Sequence[nn.Module], optimizers: Sequence[torch.optim.Optimizer], dicts: Sequence[Any]) -> list[Item]:
    items: list[Item] = []
    for number, root in enumerate(modules):
        for name, module in root.named_modules(remove_duplicate=False):
            for key, value in sorted(vars(module).items()):
                items += _thing(f"modules[{number}] {name}.{key}", value)
    for number, optimizer in enumerate(optimizers):
        items += _thing(f"optimizers[{number}] state", optimizer.state)
        items += _thing(f"optimizers[{number}] groups", optimizer.param_groups)
    return items + [item for number, entries in enumerate(dicts) for item in _thing(f"dicts[{number}]", entries)]


class Photograph:
    """Takes a picture of modules, optimizers and dicts; ``assert_unchanged`` compares them with it."""

    def __init__(self, modules: Sequence[nn.Module], optimizers: Sequence[Any] = (), dicts: Sequence[Any] = ()) -> None:
        self.things = (modules, optimizers, dicts)
        self.items = _all(*self.things)

    def assert_unchanged(self) -> None:
        now = _all(*self.things)
        assert [label for label, _, _ in now] == [label for label, _, _ in self.items]
        for (label, thing, value), (_, old_thing, old_value) in zip(now, self.items, strict=True):
            assert thing is old_thing, f"{label} is another object"
            same = torch.equal(value, old_value) if isinstance(value, Tensor) else value == old_value
            assert same, f"{label} was {old_value}, is {value}"

    def differs(self) -> bool:
        try:
            self.assert_unchanged()
        except AssertionError:
            return True
        return False
