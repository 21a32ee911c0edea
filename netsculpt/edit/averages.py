"""Averages of a model's past weights, edited as the model is."""

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import TypeAlias

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from netsculpt.edit.carry import powered
from netsculpt.edit.changes import Assignment, Place, TensorChange
from netsculpt.edit.names import Names
from netsculpt.edit.optimizers import Rule
from netsculpt.edit.tensors import successor
from netsculpt.edit.wrappers import unwrapped
from netsculpt.errors import ArgumentError, EditError

Average: TypeAlias = nn.Module | MutableMapping[str, Tensor]


class Averages:
    """All averages of one model.

    Attributes:
        modules: those that are modules with the model's names.
        dicts: those that are dicts from names to tensors; they may lack some.
    """

    def __init__(self, emas: Iterable[Average]) -> None:
        self.modules: list[Names] = []
        self.dicts: list[MutableMapping[str, Tensor]] = []
        for number, ema in enumerate(emas):
            if isinstance(ema, nn.Module):
                self.modules.append(Names(unwrapped(ema.module if isinstance(ema, AveragedModel) else ema)))
            elif isinstance(ema, MutableMapping):
                self.dicts.append(ema)
            else:
                raise ArgumentError(f"emas[{number}] must be a module or a dict of tensors, not {type(ema).__name__}.")

    def changes(self, name: str, aliases: Iterable[str], old: Tensor, rule: Rule) -> Iterator[TensorChange]:
        """What replaces the averages of one tensor; nothing is changed yet.

        Args:
            name: of the tensor.
            aliases: all its names.
            old: the model's tensor before the edit.
            rule: how it is edited.

        Raises:
            EditError: an average has another shape than the tensor, or a module lacks the name.
        """
        for places, average in self._places(name, list(aliases)):
            if average.shape != old.shape:
                raise EditError(
                    f"the average of {name} must have the model's shape {list(old.shape)}, not {list(average.shape)}."
                )
            edited, added = rule.average(rule.gather, average)
            new = successor(average, edited, powered(rule.gather, 0))
            yield TensorChange(places, average, new, rule.gather, added)

    def moved(self, old: Tensor, new: Tensor) -> None:
        """Says that the average ``new`` now hangs wherever ``old`` did."""
        for names in self.modules:
            names.moved(old, new)

    def renamed(self, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> Iterator[Assignment]:
        """What a change of the model's modules means for the dicts: names that go, names that come with a copy."""
        for entries in self.dicts:
            for name in before.keys() - after.keys() & entries.keys():
                yield Assignment(Place(entries, name), None, absent=True)
            buffers = any(not isinstance(before[name], nn.Parameter) for name in before.keys() & entries.keys())
            for name, tensor in after.items():
                if name not in before and (buffers or isinstance(tensor, nn.Parameter)):
                    yield Assignment(Place(entries, name), tensor.detach().clone())

    def _places(self, name: str, aliases: list[str]) -> Iterator[tuple[list[Place], Tensor]]:
        for names in self.modules:
            average = names.tensor(name)
            yield names.places(average), average
        for entries in self.dicts:
            found = [alias for alias in aliases if alias in entries]
            for average in {id(entries[alias]): entries[alias] for alias in found}.values():
                yield [Place(entries, alias) for alias in found if entries[alias] is average], average
