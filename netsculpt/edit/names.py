"""The tensors of a module by their names, and all the places where one hangs."""

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from netsculpt.edit.changes import Place
from netsculpt.errors import EditError


class Names:
    """An index of a module's parameters and buffers; ``refresh`` after anything else than ``moved`` changed it.

    Attributes:
        module: the module.
        tensors: every qualified name → tensor, in the module's order; a tied tensor has several.
        order: every module's qualified name → its place in ``named_modules``.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.refresh()

    def refresh(self) -> None:
        """Reads the module again."""
        self.tensors: dict[str, Tensor] = {}
        self.order: dict[str, int] = {}
        self._names: dict[int, list[str]] = {}
        for prefix, module in self.module.named_modules(remove_duplicate=False):
            self.order[prefix] = len(self.order)
            for key, tensor in (*module._parameters.items(), *module._buffers.items()):
                if tensor is not None:
                    name = f"{prefix}.{key}" if prefix else key
                    self.tensors[name] = tensor
                    self._names.setdefault(id(tensor), []).append(name)

    def tensor(self, name: str) -> Tensor:
        """The parameter or buffer of that name.

        Raises:
            EditError: there is none, or it has no shape yet.
        """
        tensor = self.tensors.get(name)
        if tensor is None:
            prefix, _, key = name.rpartition(".")
            original = f"{prefix}.parametrizations.{key}.original" if prefix else f"parametrizations.{key}.original"
            hints = [f"{has!r}" for has in self.tensors if has.startswith(original)]
            hint = f"; it is parametrized, so edit {' and '.join(hints)}" if hints else ""
            raise EditError(f"name must be a parameter or buffer of the model, not {name!r}{hint}.")
        if is_lazy(tensor):
            raise EditError(f"{name} has no shape before the first forward pass; run the model once.")
        return tensor

    def aliases(self, tensor: Tensor) -> list[str]:
        """All names of a tensor."""
        return self._names[id(tensor)]

    def places(self, tensor: Tensor) -> list[Place]:
        """All places of a tensor; a module that has several names is one."""
        places = {}
        for name in self.aliases(tensor):
            prefix, _, key = name.rpartition(".")
            owner = self.module.get_submodule(prefix)
            places[id(owner), key] = Place(owner, key)
        return list(places.values())

    def moved(self, old: Tensor, new: Tensor) -> None:
        """Says that ``new`` now hangs wherever ``old`` did."""
        names = self._names.pop(id(old), [])
        self._names[id(new)] = names
        self.tensors.update(dict.fromkeys(names, new))

    def submodule(self, name: str) -> nn.Module:
        """The module of that name.

        Raises:
            EditError: there is none.
        """
        if name not in self.order:
            raise EditError(f"module must be the name of a module of the model, not {name!r}.")
        return self.module.get_submodule(name)
