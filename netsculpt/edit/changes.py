"""The single changes that a transaction is made of; each knows the way back."""

from abc import ABC, abstractmethod
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from netsculpt.edit.tensors import Stamp, return_training
from netsculpt.graph.gather import Gather


@dataclass(frozen=True)
class Place:
    """Where an object hangs: an attribute of a module, or an entry of a dict."""

    owner: nn.Module | MutableMapping[str, Any]
    key: str

    def get(self) -> Any:
        """The object, or None where there is none."""
        return getattr(self.owner, self.key, None) if isinstance(self.owner, nn.Module) else self.owner.get(self.key)

    def put(self, value: Any) -> None:
        """Sets the object through the owner, which thereby hears of it."""
        if isinstance(self.owner, nn.Module):
            setattr(self.owner, self.key, value)
        else:
            self.owner[self.key] = value

    def clear(self) -> None:
        """Takes the object away if it is there."""
        if isinstance(self.owner, nn.Module):
            if self.own:
                delattr(self.owner, self.key)
        else:
            self.owner.pop(self.key, None)

    @property
    def own(self) -> bool:
        """Whether the owner itself has it, and not its class."""
        if not isinstance(self.owner, nn.Module):
            return self.key in self.owner
        parts = (self.owner._parameters, self.owner._buffers, self.owner._modules, vars(self.owner))
        return any(self.key in part for part in parts) or isinstance(
            getattr(type(self.owner), self.key, None), property
        )


def reorder(mapping: MutableMapping[Any, Any], keys: Sequence[Any]) -> None:
    """Puts a dict's entries in the order that they had, as far as they are still there; others come after."""
    now = dict(mapping)
    mapping.clear()
    mapping.update({key: now.pop(key) for key in keys if key in now})
    mapping.update(now)


class Change(ABC):
    """One change. It is written into the log before it is made, so ``revert`` must cope with half of it."""

    @abstractmethod
    def apply(self) -> None:
        """Makes the change."""

    @abstractmethod
    def revert(self, keep: bool) -> bool:
        """Takes the change back; ``keep`` says whether to carry over what was trained since ``seal``.

        Returns:
            Whether everything is exactly what it was before ``apply``.
        """

    def seal(self) -> None:  # noqa: B027 - most changes have nothing that training could touch
        """Notes what everything is now, so that training can be told from the change."""

    def places(self) -> list[Place]:
        """Where it was made, as far as one can tell later whether anything else was made there since."""
        return []

    def stands(self, thing: Any) -> bool:
        """Whether ``thing``, which hangs at one of the places now, is what the change put there."""
        return True


@dataclass
class Assignment(Change):
    """Another object at a place; with ``absent`` none."""

    place: Place
    new: Any
    absent: bool = False

    def __post_init__(self) -> None:
        self.own = self.place.own
        self.old = self.place.get()
        self.order = [] if isinstance(self.place.owner, nn.Module) else list(self.place.owner)

    def apply(self) -> None:
        """Puts the new object, or takes the old one away."""
        if self.absent:
            self.place.clear()
        else:
            self.place.put(self.new)

    def revert(self, keep: bool) -> bool:
        """Puts the old object back."""
        if not self.own:
            self.place.clear()
        else:
            self.place.put(self.old)
            if self.absent and not isinstance(self.place.owner, nn.Module):
                reorder(self.place.owner, self.order)
        return True

    def places(self) -> list[Place]:
        """The place, but not a property, which may make another object of what it is given."""
        is_property = isinstance(getattr(type(self.place.owner), self.place.key, None), property)
        return [] if is_property else [self.place]

    def stands(self, thing: Any) -> bool:
        """Whether it is the new object."""
        return thing is (None if self.absent else self.new)


@dataclass
class Hook(Change):
    """A forward hook on a module."""

    module: nn.Module
    hook: Any
    handle: RemovableHandle | None = None

    def apply(self) -> None:
        """Registers the hook."""
        self.handle = self.module.register_forward_hook(self.hook)

    def revert(self, keep: bool) -> bool:
        """Removes the hook."""
        if self.handle is not None:
            self.handle.remove()
        return True


@dataclass
class TensorChange(Change):
    """One tensor in the place of another, wherever that was."""

    where: list[Place]
    old: Tensor
    new: Tensor
    gather: Gather
    added: Tensor | None = None
    stamps: tuple[Stamp, Stamp] | None = None

    def apply(self) -> None:
        """Puts the new tensor at every place."""
        for place in self.where:
            place.put(self.new)

    def seal(self) -> None:
        """Stamps the values and the gradient."""
        self.stamps = (Stamp(self.new), Stamp(self.new.grad))

    def revert(self, keep: bool) -> bool:
        """Puts the old tensor back at every place."""
        same = True
        if keep and self.stamps:
            same = return_training(self.gather, self.added, self.where[0].get(), self.old, *self.stamps)
        for place in self.where:
            place.put(self.old)
        return same

    def places(self) -> list[Place]:
        """All of them."""
        return self.where

    def stands(self, thing: Any) -> bool:
        """Whether it is the new parameter, or for a buffer any of its shape: casts and averages make new ones."""
        if thing is self.new or isinstance(self.new, nn.Parameter):
            return thing is self.new
        return isinstance(thing, Tensor) and thing.shape == self.new.shape
