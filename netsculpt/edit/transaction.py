"""A change of a model, of its optimizers and of its averages that happens as a whole or not at all."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from types import TracebackType
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from netsculpt.edit.applied import Applied
from netsculpt.edit.averages import Average, Averages
from netsculpt.edit.carry import beyond, powered
from netsculpt.edit.changes import Assignment, Change, Hook, Place, TensorChange
from netsculpt.edit.names import Names
from netsculpt.edit.optimizers import Rule, SlotMode, carried, home, refuse
from netsculpt.edit.slot_changes import Join, Leave, SlotChange
from netsculpt.edit.structure import group_for, insertion, replacement
from netsculpt.edit.tensors import successor
from netsculpt.edit.wrappers import forget_compiled, unwrapped
from netsculpt.errors import ArgumentError, EditError, ShapeError
from netsculpt.graph.gather import Gather


class Transaction:
    """Edits a model in place, with everything that trains it; ``rollback`` and ``Applied.undo`` take it back.

    Changes take effect at once, so the edited model can be run before ``commit``. After ``rollback`` the model, the
    optimizers and the averages are what they were, bit for bit and object for object: nothing that an edit replaces
    is written to. As a context manager it commits at the end, or rolls back on any exception::

        with Transaction(model, [optimizer], [ema]) as edit:
            edit.replace("conv.weight", Gather({0: keep}))
            edit.set_attribute("conv", "out_channels", len(keep))

    Learning-rate schedulers go on, since the param groups stay the same dicts. A GradScaler needs nothing: it keeps
    one scale and knows no parameter. What ``torch.compile`` compiled, in the whole process, is compiled once more at
    its next call.

    Args:
        model: any module; what ``torch.compile`` returned is unwrapped. Frozen models are fine.
        optimizers: all optimizers that train the model.
        emas: averages of the model, edited as it is: ``AveragedModel``, modules with the same names, or dicts from
            names to tensors (names that a dict lacks are left out).
        slots: what the optimizers' slots of a duplicated entry become, see ``netsculpt.edit.optimizers.Rule``.

    Raises:
        EditError: the model is or holds a DistributedDataParallel, FSDP or DTensor; an optimizer is an LBFGS that has
            stepped, or trains nothing of the model.
        ArgumentError: an argument is of another kind.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizers: Iterable[Optimizer] = (),
        emas: Iterable[Average] = (),
        *,
        slots: SlotMode = "copy",
    ) -> None:
        if slots not in get_args(SlotMode):
            raise ArgumentError(f"slots must be one of {', '.join(get_args(SlotMode))}, not {slots!r}.")
        if torch.is_inference_mode_enabled():
            raise EditError("a model cannot be edited inside torch.inference_mode(), where new parameters never train.")
        self.model = unwrapped(model)
        self.optimizers = tuple(optimizers)
        self.applied: Applied | None = None
        self._slots: SlotMode = slots
        self._names = Names(self.model)
        self._averages = Averages(emas)
        self._log: list[Change] = []
        self._open = True
        for number, optimizer in enumerate(self.optimizers):
            if not hasattr(optimizer, "param_groups"):
                raise ArgumentError(f"optimizers[{number}] must be an optimizer, not {type(optimizer).__name__}.")
            refuse(optimizer)
            if not any(home(optimizer, tensor) for tensor in self._names.tensors.values()):
                raise EditError(f"optimizers[{number}] must train some of the model, but holds none of its parameters.")

    @torch.no_grad()
    def replace(
        self,
        name: str,
        gather: Gather,
        value: Tensor | None = None,
        *,
        fill: float = 0.0,
        gradient: Gather | None = None,
        alike: bool = False,
    ) -> Tensor:
        """Puts a new parameter or buffer in the place of the old one, under all names of the old one.

        ``requires_grad``, dtype, device, order in memory, hooks and attributes stay. Gradient, optimizers' slots and
        averages are carried over; averages are gathered alike, plus what ``value`` adds to the gather.

        Args:
            name: qualified name; for a parametrized one its original's, ``conv.parametrizations.weight.original0``.
            gather: how the new tensor is made of the old one.
            value: the new tensor's values, where they are not what the gather makes; of that shape.
            fill: what new entries hold where there is no ``value``.
            gradient: the same entries with the factors by which the *gradients* change, which are not the weights':
                where a unit is duplicated and its outgoing weights are halved, the gradients of its incoming weights
                halve and those of its outgoing weights do not. Used for ``.grad``, which otherwise has no factors,
                and for ``slots="scaled"``, which otherwise takes ``gather``'s.
            alike: whether averages get ``value`` itself, and not what it adds to the gather.

        Returns:
            The new tensor: a new Parameter, or a buffer.

        Raises:
            EditError: there is no such tensor, or an optimizer keeps something for it that nothing carries over.
            ShapeError: the gather does not fit the tensor, or the value does not fit the gather.
        """
        self._require_open()
        old = self._names.tensor(name)
        try:
            data = gather.gather(old, fill)
        except ShapeError as error:
            raise ShapeError(f"{name}: {error}") from None
        added = None
        if value is not None:
            if value.shape != data.shape:
                raise ShapeError(f"value of {name} must have shape {list(data.shape)}, not {list(value.shape)}.")
            added = beyond(value, data)
            data.copy_(value)
        rule = Rule(gather, gradient or gather, self._slots, added, fill, value if alike else None)
        new = successor(old, data, gradient or powered(gather, 0))
        held = [each for each in self.optimizers if home(each, old) or old in each.state]
        slots = [SlotChange(each, old, new, carried(each, old, rule), rule) for each in held]
        averages = list(self._averages.changes(name, self._names.aliases(old), old, rule))
        self._do(TensorChange(self._names.places(old), old, new, gather, added))
        self._names.moved(old, new)
        for change in averages:
            self._do(change)
            self._averages.moved(change.old, change.new)
        self._do(*slots)
        return new

    def set_attribute(self, module: str, attribute: str, value: Any) -> None:
        """Sets what a module says about itself (``out_channels``, ``groups``, ``num_heads``), in the averages too.

        Args:
            module: the module's qualified name; "" is the model.
            attribute: one that it has, and that is no parameter, buffer or module.
            value: the new value; the averages get copies.

        Raises:
            EditError: there is no such module or attribute, or it is not a plain one.
        """
        self._require_open()
        owner = self._names.submodule(module)
        parts = (owner._parameters, owner._buffers, owner._modules)
        if not hasattr(owner, attribute) or any(attribute in part for part in parts):
            raise EditError(f"attribute must be a plain attribute of {module or 'the model'}, not {attribute!r}.")
        self._do(Assignment(Place(owner, attribute), value))
        for names in self._averages.modules:
            self._do(Assignment(Place(names.submodule(module), attribute), deepcopy(value)))

    def insert_module(self, after: str, module: nn.Module, group: dict[str, Any] | None = None) -> str:
        """Lets a new module take the output of a layer and give its own in that place.

        No name changes: the new module becomes a child of that layer, ``inserted`` (``inserted_1``, …), which a
        forward hook runs; at the end of an ``nn.Sequential`` it simply is the next child. A layer whose weights
        others use without calling it (the output projection inside ``nn.MultiheadAttention``) never runs the hook.

        Args:
            after: the layer's qualified name.
            module: takes the layer's output alone; gets its training mode, and should be on its device. Averages get
                copies.
            group: the param group that its parameters join, see ``add_parameters``.

        Returns:
            The new module's qualified name.

        Raises:
            EditError: there is no such layer, it never runs, or no param group is near.
        """
        self._require_open()
        target = self._names.submodule(after)
        module.train(target.training)
        key, changes = insertion(target, module)

        def insert() -> None:
            self._do(*changes)
            for names in self._averages.modules:
                self._do(*insertion(names.submodule(after), deepcopy(module))[1])

        self._restructure(insert, after, group)
        return f"{after}.{key}" if after else key

    def replace_module(self, name: str, module: nn.Module, group: dict[str, Any] | None = None) -> None:
        """Puts another module in the place of one, under all its names: ``nn.Identity()`` to remove a layer.

        Parameters that thereby leave the model leave the optimizers; those that come join a param group.

        Args:
            name: the old module's qualified name, not the model itself.
            module: the new one, which gets the old one's training mode. Averages get copies.
            group: the param group that its parameters join, see ``add_parameters``.

        Raises:
            EditError: there is no such module, or no param group is near.
        """
        self._require_open()
        if not name:
            raise EditError("name must be a module inside the model, not the model itself.")
        module.train(self._names.submodule(name).training)

        def swap() -> None:
            self._do(*replacement(self._names, name, module))
            for names in self._averages.modules:
                self._do(*replacement(names, name, deepcopy(module)))

        self._restructure(swap, name, group)

    def add_parameters(self, names: Iterable[str], like: str, group: dict[str, Any] | None = None) -> None:
        """Lets the optimizers train parameters that they do not yet hold; frozen ones are left out.

        Args:
            names: qualified names.
            like: a layer whose param group they join: that of its parameter most like each, see ``group_for``.
            group: the param group that all join instead, one of an optimizer's own.

        Raises:
            EditError: no param group trains anything of the model.
            ArgumentError: ``group`` is in no optimizer.
        """
        self._require_open()
        self._join({name: self._names.tensor(name) for name in names}, like, group, self._names.tensors)

    def commit(self) -> Applied:
        """Makes the changes final; what comes back can still ``undo`` them."""
        self._require_open()
        for change in self._log:
            change.seal()
        self._open = False
        self.applied = Applied(self._log)
        return self.applied

    def rollback(self) -> None:
        """Takes all changes back, to the bit and to the object; may be called twice, but not after ``commit``."""
        if self.applied is not None:
            raise EditError("the transaction is committed; call undo on what commit returned.")
        self._open = False
        forget_compiled()
        while self._log:
            self._log[-1].revert(keep=False)
            self._log.pop()

    def __enter__(self) -> "Transaction":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._open:
                self.commit()
        finally:
            if self.applied is None:
                self.rollback()

    def _do(self, *changes: Change) -> None:
        if not self._log or any(isinstance(change, Hook) for change in changes):
            forget_compiled()
        for change in changes:
            self._log.append(change)  # first, so that half a change is taken back too
            change.apply()

    def _restructure(self, change: Callable[[], None], like: str, group: dict[str, Any] | None) -> None:
        before, order = self._names.tensors, self._names.order
        change()
        for names in (self._names, *self._averages.modules):
            names.refresh()
        after = self._names.tensors
        self._do(*self._averages.renamed(before, after))
        known = {id(tensor) for tensor in before.values()}
        self._join({name: each for name, each in after.items() if id(each) not in known}, like, group, before, order)
        present = {id(tensor) for tensor in after.values()}
        for tensor in {id(each): each for each in before.values() if id(each) not in present}.values():
            for optimizer in self.optimizers:
                if home(optimizer, tensor) or tensor in optimizer.state:
                    self._do(Leave(optimizer, tensor))

    def _join(
        self,
        new: Mapping[str, Tensor],
        like: str,
        group: dict[str, Any] | None,
        tensors: Mapping[str, Tensor],
        order: Mapping[str, int] | None = None,
    ) -> None:
        for name, parameter in new.items():
            held = any(home(optimizer, parameter) for optimizer in self.optimizers)
            if held or not parameter.requires_grad or not self.optimizers:
                continue
            places = order or self._names.order
            optimizer, chosen = group_for(parameter, name, like, tensors, places, self.optimizers, group)
            self._do(Join(optimizer, chosen, parameter, name))

    def _require_open(self) -> None:
        if not self._open:
            raise EditError("the transaction is closed; begin another.")
