"""The edits: what can be done to a model, as data.

All edits of a plan refer to the model as it is before the plan, whatever their order: units by the numbers that they
have then, tensors with the sizes that they have then.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor, nn

from netsculpt.edit.data import from_plain, to_plain
from netsculpt.errors import ArgumentError, ShapeError

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
        _check_name(self.axis, "axis")
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
        _check_name(self.axis, "axis")
        object.__setattr__(self, "index", _whole(self.index, f"index of the split of {self.axis!r}"))
        object.__setattr__(self, "offsets", _values(self.offsets, f"offsets of the split of {self.axis!r}"))
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
            tensor name, [n, entries of a unit's slice], of incoming or outgoing tensors, the others as ``rest`` says.
        seed: of the random weights.
        rest: ``"random"`` or ``"zero"``, of the incoming weights that ``init`` gives no values for.
    """

    axis: str
    n: int
    init: str | Slices = "random"
    seed: int = 0
    rest: str = "random"
    kind: ClassVar[str] = "widen"

    def __post_init__(self) -> None:
        _check_name(self.axis, "axis")
        what = f"of the widening of {self.axis!r}"
        object.__setattr__(self, "n", _whole(self.n, f"n {what}"))
        object.__setattr__(self, "seed", _whole(self.seed, f"seed {what}"))
        if self.n < 1:
            raise ArgumentError(f"n {what} must be above 0, not {self.n}")
        if self.rest not in ("random", "zero"):
            raise ArgumentError(f"rest {what} must be 'random' or 'zero', not {self.rest!r}")
        if isinstance(self.init, Mapping):
            object.__setattr__(self, "init", _values(self.init, f"init {what}"))
        elif self.init not in ("random", "zero"):
            raise ArgumentError(f"init {what} must be 'random', 'zero' or slices by tensor name, not {self.init!r}")

    @property
    def zeros(self) -> bool:
        """Whether incoming weights without values are zero."""
        return (self.init if isinstance(self.init, str) else self.rest) == "zero"

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

    def __post_init__(self) -> None:
        _check_name(self.after, "after")
        if not isinstance(self.module, nn.Module):
            raise ArgumentError(f"module after {self.after!r} must be a torch.nn.Module, not {self.module!r}")

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

    def __post_init__(self) -> None:
        _check_name(self.name, "name")

    def __str__(self) -> str:
        return f"remove {self.name}"


@dataclass(frozen=True, eq=False)
class Assign:
    """Give a parameter or buffer new values: a consumer's weight refitted after pruning, a BatchNorm's running mean.

    As all edits it refers to the model before the plan: the values have the shape that the tensor has then, and the
    plan's other edits change them as they would have changed the old ones. So a ``Prune`` of the plan takes slices away
    and applies its ``scale``, a ``Split`` copies and shares, and what is folded or offset is added.

    The gradient and the optimizers' slots (momentum, averages of squares) stay as they are. Averages of the weights
    (``ema``, ASGD's own) get the same values: an average of weights that were made for other units would pull refitted
    ones out of shape. So does every name of a tied tensor. It is never exact: ``Plan.inexact`` names it, and the
    outputs are not compared. Undone after training, the tensor is the old one plus what training has changed, up to
    rounding. A history keeps the name alone: a file has the values among its tensors, and ``replay`` repeats none.

    Attributes:
        tensor: qualified name, any of a tied tensor's; of a parametrized one an original's,
            ``conv.parametrizations.weight.original0``.
        values: finite, of the tensor's shape before the plan; cast to its dtype and moved to its device.
    """

    tensor: str
    values: Tensor = field(repr=False)
    kind: ClassVar[str] = "assign"

    def __post_init__(self) -> None:
        _check_name(self.tensor, "tensor")
        what = f"values of {self.tensor}"
        if not isinstance(self.values, Tensor) or self.values.layout != torch.strided or self.values.is_meta:
            given = self.values
            found = f"{given.layout} on {given.device}" if isinstance(given, Tensor) else type(given).__name__
            raise ArgumentError(f"{what} must be an ordinary tensor that holds values, not {found}")
        wrong = int((~self.values.isfinite()).sum())
        if wrong:
            raise ArgumentError(f"{what} must be finite numbers, but {wrong} of {self.values.numel()} are not")
        object.__setattr__(self, "values", self.values.detach().clone())

    def __str__(self) -> str:
        return f"assign {self.tensor}: new values {list(self.values.shape)}"


Edit: TypeAlias = Prune | Split | Widen | InsertLayer | RemoveLayer | Assign
KINDS: dict[str, type[Edit]] = {each.kind: each for each in (Prune, Split, Widen, InsertLayer, RemoveLayer, Assign)}


def to_data(edit: Edit, state: bool = True) -> dict[str, Any]:
    """An edit as JSON has it; ``state``: with the parameters of an inserted layer.

    Raises:
        EditError: an inserted layer cannot be described by its constructor's arguments.
    """
    fields = {name: to_plain(value, state) for name, value in vars(edit).items()}
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
        return kind(**{name: from_plain(value) for name, value in data.items() if name != "edit"})
    except TypeError as error:
        raise ArgumentError(f"a {kind.kind} edit cannot be made of {sorted(data)}: {error}") from None


def _check_name(given: object, what: str) -> None:
    if not isinstance(given, str):
        raise ArgumentError(f"{what} of an edit must be a name, not {given!r}")


def _whole(given: Any, what: str) -> int:
    try:
        if isinstance(given, bool):
            raise TypeError
        return operator.index(given)
    except TypeError:
        raise ArgumentError(f"{what} must be a whole number, not {given!r}") from None


def _units(given: Tensor | Iterable[int], what: str) -> Tensor:
    if not isinstance(given, Iterable):
        raise ArgumentError(f"{what} must be whole numbers [units], not {given!r}")
    if not isinstance(given, Tensor):
        given = torch.tensor([_whole(unit, f"a unit in {what}") for unit in given], dtype=torch.int64)
    if given.dtype not in {torch.int64, torch.int32} or given.dim() != 1:
        raise ArgumentError(f"{what} must be whole numbers [units], not {given.dtype} {list(given.shape)}")
    return given.detach().to("cpu", torch.int64, copy=True)


def _factors(given: Tensor | Iterable[float], count: int | None, what: str) -> Tensor:
    try:
        factors = given if isinstance(given, Tensor) else torch.tensor(list(given), dtype=torch.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"{what} must be {count or 'some'} finite numbers, not {given!r}") from None
    factors = factors.detach().to("cpu", torch.float64, copy=True)
    if factors.dim() != 1 or (count is not None and len(factors) != count) or not factors.isfinite().all():
        raise ArgumentError(f"{what} must be {count or 'some'} finite numbers, not {factors.tolist()}")
    return factors


def _values(given: Any, what: str) -> Any:
    """Rows by unit, alone or by tensor name, as copies that nobody else writes to."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {name: _values(rows, f"{what} for {name}") for name, rows in given.items()}
    if not isinstance(given, Tensor) or given.dim() != 2:
        found = list(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ShapeError(f"{what} must be a tensor [units, entries], not {found}")
    if not given.isfinite().all():
        raise ArgumentError(f"{what} must be finite numbers")
    return given.detach().clone()
