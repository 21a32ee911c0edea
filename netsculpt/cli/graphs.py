"""``inspect``: the axes of any model. ``verify``: whether they are what they are said to be."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from netsculpt.cli.arguments import Commands, dtype, shape
from netsculpt.cli.axes_data import axes_data
from netsculpt.cli.factory import Subject, first_line, load
from netsculpt.errors import ArgumentError, GraphError
from netsculpt.graph import Graph, Proof, trace
from netsculpt.graph.program import as_inputs
from netsculpt.graph.untouched import tracing_mode


def add_to(commands: Commands) -> None:
    """Make both commands known."""
    inspect = commands.add_parser(
        "inspect",
        help="show which units a model has, what makes and uses them, and what can be done with them",
        description="Print a table of the axes of a model: units, layers that make and use them, shares of parameters "
        "and multiply-accumulates, and whether units can go exactly, inexactly or not at all, with the reason.",
    )
    inspect.add_argument("--json", type=Path, metavar="FILE", help="also write the axes as data")
    _add_subject(inspect)
    inspect.set_defaults(command=_inspect)

    verify = commands.add_parser(
        "verify",
        help="prove what inspect says by permuting and removing the units of every axis",
        description="For every axis that can change, in float64: permute its units, which must leave the outputs "
        "alone, and remove half of them, which must be the same as silencing them where the axis is exact. The exit "
        "code is 1 where any axis fails.",
    )
    _add_subject(verify)
    verify.set_defaults(command=_verify)


def _add_subject(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "model",
        metavar="package.module:function",
        help="what makes the model: a function without arguments, or a class, that returns a torch.nn.Module, or a "
        "pair of it and example inputs (a tensor, a tuple of arguments, a dict of keyword arguments); or such a "
        "module itself. The current directory is searched first.",
    )
    command.add_argument(
        "--shape",
        type=shape,
        action="append",
        default=[],
        metavar="2x3x224x224[:dtype]",
        help="make an input of this shape, one --shape per positional argument; replaces what the function returns. "
        "Numbers are normal, integers 0 or 1. With two or more examples any batch size is considered.",
    )
    command.add_argument("--dtype", type=dtype, help="dtype of every --shape that states none (the parameters' dtype)")
    command.add_argument("--seed", type=int, default=0, help="seed of weights, inputs, permutations (%(default)s)")


def _inspect(options: argparse.Namespace) -> int:
    subject = _load(options)
    graph = _trace(subject)
    if options.json is not None:
        text = json.dumps({"model": subject.name, **axes_data(graph)}, indent=2, ensure_ascii=False)
        try:
            options.json.write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            raise ArgumentError(f"--json must be a file that can be written, not {options.json}: {error}") from error
    print(graph)
    return 0


def _verify(options: argparse.Namespace) -> int:
    subject = _load(options)
    graph = _trace(subject)
    if not graph.sculptable:
        raise GraphError(f"no axis of {subject.name} can change, so there is nothing to verify; inspect says why")
    proofs = graph.verify(subject.model, options.seed)
    print("\n".join(_lines(proofs)))
    held = sum(proof.holds for proof in proofs)
    within = f", outputs within {proofs[0].tolerance:g} of the largest one" if proofs else ""
    print(f"\n{held} of {len(proofs)} axes hold{within}; {len(graph) - len(proofs)} more cannot change")
    return 0 if held == len(proofs) else 1


def _load(options: argparse.Namespace) -> Subject:
    return load(options.model, options.shape, options.dtype, options.seed)


def _trace(subject: Subject) -> Graph:
    try:
        return trace(subject.model, subject.inputs)
    except GraphError:
        _run(subject)  # it may be the model that fails, and then its own reason is the clearer one
        raise


def _run(subject: Subject) -> None:
    args, kwargs = as_inputs(subject.inputs)
    try:
        with tracing_mode(subject.model), torch.no_grad():
            subject.model(*args, **kwargs)
    except Exception as error:  # whatever the user's code may raise
        given = ", ".join(map(_shown, (*args, *kwargs.values())))
        raise ArgumentError(f"{subject.name} fails on its inputs ({given}): {first_line(error)}") from error


def _shown(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return type(value).__name__


def _lines(proofs: Sequence[Proof]) -> list[str]:
    width = max(len("axis"), *(len(proof.axis) for proof in proofs))
    lines = [f"{'axis':<{width}}  units  permuted  removed"]
    for proof in proofs:
        removed = "-" if proof.removed is None else f"{proof.removed:.1e}"
        numbers = f"{proof.size:>5}  {proof.permuted:>8.1e}  {removed:>7}"
        lines.append(f"{proof.axis:<{width}}  {numbers}  {_outcome(proof)}")
    return lines


def _outcome(proof: Proof) -> str:
    if proof.holds:
        return "ok"
    if proof.error is not None:
        return f"FAILED: {proof.error.splitlines()[0]}"
    if not proof.permuted <= proof.tolerance:
        return "FAILED: permuting its units changes the outputs"
    return "FAILED: removing units is not the same as silencing them"
