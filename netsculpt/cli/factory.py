"""From ``package.module:function`` to a model and inputs for it."""

import importlib
import inspect
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from netsculpt.cli.arguments import Shape
from netsculpt.errors import ArgumentError


class Subject(NamedTuple):
    """What a command is about.

    Attributes:
        name: as the user wrote it.
        model: in the mode that its factory left it in.
        inputs: example inputs as ``netsculpt.trace`` takes them.
    """

    name: str
    model: nn.Module
    inputs: Any


def load(name: str, shapes: Sequence[Shape] = (), dtype: torch.dtype | None = None, seed: int = 0) -> Subject:
    """Import and call what makes a model.

    Args:
        name: ``package.module:function`` of a function or class that, without arguments, returns a module, or a pair
            of a module and its inputs; or of such a module or pair itself.
        shapes: of the positional inputs; they replace inputs that come with the model.
        dtype: of the inputs whose shape states none; the dtype of the model's parameters where None.
        seed: of whatever is random, in the module, its function and the inputs.

    Raises:
        ArgumentError: one sentence on what is not there, fails, or is something else than it should be.
    """
    made = _made(name, seed)
    model, inputs = made if isinstance(made, tuple | list) and len(made) == 2 else (made, None)
    if not isinstance(model, nn.Module):
        raise ArgumentError(
            f"{name} must return a torch.nn.Module, or a pair of one and its example inputs, not {_kind(made)}"
        )
    if shapes:
        return Subject(name, model, _random_inputs(model, shapes, dtype, seed))
    if inputs is None:
        raise ArgumentError(f"{name} makes a model without inputs: state their shapes, such as --shape 2x3x224x224")
    if not isinstance(inputs, Tensor | tuple | list | Mapping):
        raise ArgumentError(f"the inputs that {name} returns must be a tensor, a tuple or a dict, not {_kind(inputs)}")
    return Subject(name, model, inputs)


def first_line(error: BaseException) -> str:
    """The type of an error and the first line of what it says."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _made(name: str, seed: int) -> Any:
    with _seeded(seed):
        found = _find(name)
    if isinstance(found, nn.Module | tuple | list):
        return found
    if not callable(found):
        raise ArgumentError(f"{name} must be a function that returns a model, not {_kind(found)}")
    _check_needs_nothing(name, found)
    try:
        with _seeded(seed):
            return found()
    except Exception as error:  # whatever the user's code may raise
        raise ArgumentError(f"{name}() fails: {first_line(error)}") from error


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def _find(name: str) -> Any:
    module, _, path = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), *path.split("."))):
        raise ArgumentError(f"the model must be named as package.module:function, not {name!r}")
    found: Any = _import(module)
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            close = get_close_matches(part, dir(found), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ArgumentError(f"{module!r} has no {path!r}{hint}") from error
    return found


def _import(module: str) -> Any:
    here = os.getcwd()
    if not {"", here} & set(sys.path):  # the installed script searches its own folder, not the user's
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module}.".startswith(f"{error.name}."):
            raise ArgumentError(f"there is no module {error.name!r}, installed or in {here}") from error
        raise ArgumentError(f"{module!r} cannot be imported: {first_line(error)}") from error
    except (Exception, SystemExit) as error:  # whatever the user's code may raise
        raise ArgumentError(f"{module!r} cannot be imported: {first_line(error)}") from error


def _check_needs_nothing(name: str, function: Any) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # compiled: calling it will show
        return
    try:
        signature.bind()
    except TypeError as error:
        raise ArgumentError(f"{name} must need no arguments, but it does: {error}") from error


def _random_inputs(model: nn.Module, shapes: Sequence[Shape], dtype: torch.dtype | None, seed: int) -> Any:
    parameters = [parameter for parameter in model.parameters() if parameter.is_floating_point()]
    like = parameters[0] if parameters else torch.empty(0)
    generator = torch.Generator().manual_seed(seed)
    made = []
    for sizes, stated in shapes:
        wanted = stated or dtype or like.dtype
        if wanted.is_floating_point or wanted.is_complex:
            numbers = torch.randn(sizes, generator=generator, dtype=torch.promote_types(wanted, torch.float32))
        else:
            numbers = torch.randint(2, sizes, generator=generator)  # every table has a row 0 and a row 1
        made.append(numbers.to(like.device, wanted))
    return tuple(made)


def _kind(value: object) -> str:
    name = type(value).__name__
    return f"{name} of {len(value)}" if isinstance(value, tuple | list) else name
