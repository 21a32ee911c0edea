"""The edits: what can be done to a model, as data.

All edits of a plan refer to the model as it is before the plan, whatever their order: units by the numbers that they
have then, tensors with the sizes that they have then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from netsculpt.edit.layers import from_spec, to_spec
from netsculpt.errors import ArgumentError

# Values for slices of tensors: by tensor name, [units, entries of a unit's slice], its dimension first, then row-major.
Slices: TypeAlias = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Prune:
    """Keep some units of an axis, and remove the others from every tensor.

    Attributes:
        axis: name of the axis.
        keep: distinct units, in the order in which they will stand.
        scale: factor of each kept unit's outgoing weights, in the order of ``keep``; None for ones.
        fold: whether what the removed units add goes into the biases of the layers that use them; they must answer the
            same whatever the input, as units without incoming weights do.
    """

    axis: str
    keep: Tensor | Iterable[int]
    scale: Tensor | Iterable[float] | None = None
    fold: bool = False
    kind: ClassVar[str] = "prune"

    def __post_init__(self) -> None:
        keep = _units(self.keep, f"keep of {self.axis!r}")
        if not len(keep):
            raise ArgumentError(f"keep of {self.axis!r} must name a unit: an axis cannot lose all of them")
        if len(keep.unique()) != len(keep):
            raise ArgumentError(f"keep of {self.axis!r} must be distinct units; use Split to copy one")
        object.__setattr__(self, "keep", keep)
        if self.scale is not None:
            object.__setattr__(self, "scale", _factors(self.scale, len(keep), f"scale of {self.axis!r}"))

    def __str__(self) -> str:
        return f"prune {self.axis}: keep {len(self.keep)}{'' if self.scale is None else ', outgoing weights scaled'}"  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Split:
    """Replace one unit by copies that share its outgoing weights. Copy 0 stays in its place, the others come last.

    Attributes:
        axis: name of the axis.
        index: the unit.
        weights: [m] shares of the outgoing weights, negative ones too, that sum to 1.
        offsets: [m, d] what is added to each copy's incoming weights, flattened, then its bias where the producer has
            one; or such values by tensor name; None for none. In the coordinates of the model before the plan: where
            the plan copies inputs of the producer, their offsets are shared like their weights.
    """

    axis: str
    index: int
    weights: Tensor | Iterable[float] = (0.5, 0.5)
    offsets: Tensor | Slices | None = None
    kind: ClassVar[str] = "split"

    def __post_init__(self) -> None:
        weights = _factors(self.weights, None, f"weights of the split of {self.axis!r}")
        if len(weights) < 1 or abs(float(weights.sum()) - 1) > 1e-6:
            raise ArgumentError(f"weights of the split of {self.axis!r} must sum to 1, not {float(weights.sum()):g}")
        object.__setattr__(self, "weights", weights)

    def __str__(self) -> str:
        return f"split {self.axis}: unit {self.index} into {len(self.weights)}"  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Widen:
    """Add units to an axis. Their outgoing weights are zero unless ``init`` gives them, so the function stays.

    Attributes:
        axis: name of the axis.
        n: how many.
        init: ``"random"`` draws incoming weights like those that are there, ``"zero"`` leaves them zero; or values by
            tensor name, [n, entries of a unit's slice], of incoming or outgoing tensors, the others drawn at random.
        seed: of the random weights.
    """

    axis: str
    n: int
    init: str | Slices = "random"
    seed: int = 0
    kind: ClassVar[str] = "widen"

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise ArgumentError(f"n of the widening of {self.axis!r} must be a whole number above 0, not {self.n!r}")
        if isinstance(self.init, str) and self.init not in {"random", "zero"}:
            raise ArgumentError(
                f"init of the widening of {self.axis!r} must be 'random', 'zero' or slices, not {self.init!r}"
            )

    def __str__(self) -> str:
        return f"widen {self.axis}: {self.n} more"


@dataclass(frozen=True, eq=False)
class InsertLayer:
    """Let a new layer take the output of an existing one. It must be the identity at the start unless ``exact`` is off.

    Attributes:
        after: qualified name of the existing layer.
        module: the new layer.
        exact: whether the model must answer as before.
    """

    after: str
    module: nn.Module = field(repr=False)
    exact: bool = True
    kind: ClassVar[str] = "insert"

    def __str__(self) -> str:
        return f"insert {type(self.module).__name__} after {self.after}"


@dataclass(frozen=True, eq=False)
class RemoveLayer:
    """Let a layer's input pass for its output.

    Attributes:
        name: qualified name of the layer, whose input and output have one shape.
    """

    name: str
    kind: ClassVar[str] = "remove"

    def __str__(self) -> str:
        return f"remove {self.name}"


Edit: TypeAlias = Prune | Split | Widen | InsertLayer | RemoveLayer
KINDS: dict[str, type[Edit]] = {each.kind: each for each in (Prune, Split, Widen, InsertLayer, RemoveLayer)}


def to_data(edit: Edit, state: bool = True) -> dict[str, Any]:
    """An edit as JSON has it; ``state``: with the parameters of an inserted layer.

    Raises:
        EditError: an inserted layer cannot be described by its constructor's arguments.
    """
    fields = {name: _plain(value, state) for name, value in vars(edit).items()}
    return {"edit": edit.kind, **fields}


def from_data(data: Mapping[str, Any]) -> Edit:
    """The edit that ``to_data`` described.

    Raises:
        ArgumentError: it is no such description.
    """
    kind = KINDS.get(str(data.get("edit")))
    if kind is None:
        raise ArgumentError(f"an edit must be one of {', '.join(KINDS)}, not {data.get('edit')!r}")
    try:
        return kind(**{name: _lively(value) for name, value in data.items() if name != "edit"})
    except TypeError as error:
        raise ArgumentError(f"a {kind.kind} edit cannot be made of {sorted(data)}: {error}") from None


def _units(given: Tensor | Iterable[int], what: str) -> Tensor:
    units = given if isinstance(given, Tensor) else torch.tensor(list(given), dtype=torch.int64)
    if units.dtype not in {torch.int64, torch.int32} or units.dim() != 1:
        raise ArgumentError(f"{what} must be whole numbers [units], not {units.dtype} {list(units.shape)}")
    return units.detach().cpu().to(torch.int64)


def _factors(given: Tensor | Iterable[float], count: int | None, what: str) -> Tensor:
    factors = given if isinstance(given, Tensor) else torch.tensor(list(given), dtype=torch.float64)
    factors = factors.detach().cpu().to(torch.float64)
    if factors.dim() != 1 or (count is not None and len(factors) != count) or not factors.isfinite().all():
        raise ArgumentError(f"{what} must be {count or 'some'} finite numbers, not {factors.tolist()}")
    return factors


def _plain(value: Any, state: bool) -> Any:
    if isinstance(value, Tensor):
        return {"tensor": value.tolist(), "dtype": str(value.dtype).removeprefix("torch.")}
    if isinstance(value, nn.Module):
        return {"layer": to_spec(value, state)}
    if isinstance(value, Mapping):
        return {"slices": {name: _plain(part, state) for name, part in value.items()}}
    return value


def _lively(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    if "tensor" in value:
        return torch.tensor(value["tensor"], dtype=getattr(torch, value["dtype"]))
    if "layer" in value:
        return from_spec(value["layer"])
    return {name: _lively(part) for name, part in value["slices"].items()}
