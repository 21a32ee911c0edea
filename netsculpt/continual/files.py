"""A pool and its tasks in one file: tensors, masks and names, no pickled code."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netsculpt.continual.pool import Pool, Task
from netsculpt.continual.private import tensors_of
from netsculpt.errors import ArgumentError, EditError, GraphError

FORMAT = 1


def write(pool: Pool, path: str | Path) -> None:
    """Write a pool and its tasks to a file, which is replaced as a whole or not at all.

    Raises:
        EditError: the file cannot be written.
    """
    sizes = {axis.name: axis.size for axis in pool.axes}
    data = {
        "netsculpt_continual": FORMAT,
        "sizes": sizes,
        "heads": list(pool.heads),
        "inputs": [list(pool.graph.inputs.args), dict(pool.graph.inputs.kwargs)],
        "tensors": {name: each.detach() for name, each in tensors_of(pool.model).items()},
        "tasks": {
            name: {
                "masks": {axis: _bits(mask, sizes[axis]) for axis, mask in task.masks.items()},
                "private": task.private,
            }
            for name, task in pool.tasks.items()
        },
    }
    path = Path(path)
    partial = path.with_name(f"{path.name}.partial")
    try:
        torch.save(data, partial)
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        raise EditError(f"{path} cannot be written: {type(error).__name__}: {error}") from error
    finally:
        partial.unlink(missing_ok=True)


def read(build_fn: Callable[[], nn.Module], path: str | Path) -> Pool:
    """The pool that ``write`` wrote; nothing in the file is run.

    Args:
        build_fn: makes the model as it was given to the learner, with any weights.
        path: of the file.

    Raises:
        ArgumentError: ``build_fn`` makes no module.
        EditError: the file is not there or not ours, or does not fit what ``build_fn`` makes.
    """
    data = _checked(Path(path))
    model = build_fn() if callable(build_fn) else build_fn
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"build_fn must return a torch.nn.Module, not {type(model).__name__}")
    args, kwargs = data["inputs"]
    try:
        pool = Pool(model, tuple(args) if args else kwargs, data["heads"])
        pool.widen({axis: size - pool.graph[axis].size for axis, size in data["sizes"].items()})
    except (ArgumentError, GraphError) as error:
        raise EditError(f"{path} does not fit {type(model).__name__}: {error}") from error
    _fill(pool, data["tensors"], path)
    for name, task in data["tasks"].items():
        masks = {axis: mask.nonzero()[:, 0] for axis, mask in task["masks"].items()}
        pool.tasks[name] = Task(masks, task["private"])
    return pool


def _checked(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise EditError(f"there is no file {path}")
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise EditError(f"{path} is no file that a learner saved: {str(error).splitlines()[0]}") from error
    if not isinstance(data, dict) or data.get("netsculpt_continual") != FORMAT:
        raise EditError(f"{path} was not written by a learner, or by a version with another format")
    return data


def _fill(pool: Pool, saved: Mapping[str, Tensor], path: str | Path) -> None:
    there = tensors_of(pool.model)
    for name in there.keys() ^ saved.keys():
        raise EditError(f"{path} does not fit {type(pool.model).__name__}: only one of them has {name}")
    for name, tensor in there.items():
        if tensor.shape != saved[name].shape:
            sizes = f"{list(saved[name].shape)}, not {list(tensor.shape)}"
            raise EditError(f"{path} does not fit {type(pool.model).__name__}: {name} is {sizes}")
        tensor.data = saved[name].to(tensor.device)


def _bits(mask: Tensor, size: int) -> Tensor:
    found = torch.zeros(size, dtype=torch.bool)
    found[mask] = True
    return found
