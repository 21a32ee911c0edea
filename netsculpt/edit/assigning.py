"""New values for whole tensors, before a plan changes their slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

import torch
from torch import Tensor

from netsculpt.edit.carry import is_inexact
from netsculpt.edit.edits import Assign, Edit
from netsculpt.edit.transaction import Transaction
from netsculpt.errors import ArgumentError, ShapeError
from netsculpt.graph import Gather, Graph


def assigned(edits: Iterable[Edit], graph: Graph) -> dict[str, Tensor]:
    """The values that a plan assigns, by the first name of each tensor.

    Raises:
        ArgumentError: a name is of no parameter or buffer, or a tensor is assigned twice.
        ShapeError: values have another shape than their tensor.
    """
    first = {alias: name for name, aliases in graph.aliases.items() for alias in aliases}
    values: dict[str, Tensor] = {}
    for edit in edits:
        if not isinstance(edit, Assign):
            continue
        name = first.get(edit.tensor)
        if name is None:
            raise ArgumentError(f"{edit.tensor!r} is no parameter or buffer of the model{_hint(edit.tensor, first)}")
        shape = [term.size for term in graph.tensors[name]]
        if list(edit.values.shape) != shape:
            raise ShapeError(
                f"values of {edit.tensor} must have the shape {shape} that it has before the plan, "
                f"not {list(edit.values.shape)}"
            )
        if name in values:
            also = "" if edit.tensor == name else f", of which {edit.tensor} is another name"
            raise ArgumentError(f"a plan may assign {name} once{also}")
        values[name] = edit.values
    return values


def assign(transaction: Transaction, values: Mapping[str, Tensor]) -> None:
    """Put values in the place of those of the named tensors, and of their averages; gradients and slots stay.

    Raises:
        ArgumentError: values do not fit the dtype of their tensor.
    """
    for name, given in values.items():
        path, _, attribute = name.rpartition(".")
        _check_fits(name, given, getattr(transaction.model.get_submodule(path), attribute))
        transaction.replace(name, Gather({}), given, alike=True)


def _check_fits(name: str, given: Tensor, tensor: Tensor) -> None:
    """A cast may round real numbers, but not lose more than that: neither their size, fractions nor imaginary parts."""
    flat = given.is_complex() and not tensor.is_complex()
    cast = (given.real if flat else given).to(tensor.dtype)
    fits = cast.isfinite().all() if is_inexact(tensor) else torch.equal(cast.to(given.dtype), given)
    if not fits or (flat and given.imag.any()):
        raise ArgumentError(f"values of {name} must fit its dtype, {str(tensor.dtype).removeprefix('torch.')}")


def _hint(name: str, known: Iterable[str]) -> str:
    """What the user may have meant: the originals of a parametrized tensor, or names like the given one."""
    prefix, _, key = name.rpartition(".")
    path = f"{prefix}.parametrizations.{key}.original" if prefix else f"parametrizations.{key}.original"
    originals = [each for each in known if each.startswith(path)]
    if originals:
        return f": it is parametrized, so assign {' and '.join(originals)}"
    close = get_close_matches(name, list(known), n=3)
    return f"; names like it are {', '.join(close)}" if close else f", such as {next(iter(known), 'none')}"
