"""What the commands' arguments are made of."""

import argparse
import re
from typing import NamedTuple, TypeAlias

import torch

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

SHAPE = re.compile(r"(?P<sizes>[1-9]\d*(x[1-9]\d*)*)(:(?P<dtype>\w+))?")


class Shape(NamedTuple):
    """The shape of an example input, and its dtype where one was stated."""

    sizes: tuple[int, ...]
    dtype: torch.dtype | None = None


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return int(text)


def shape(text: str) -> Shape:
    """``2x3x224x224`` or ``2x10:int64``."""
    match = SHAPE.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"must be sizes such as 2x3x224x224 or 2x10:int64, not {text!r}")
    return Shape(tuple(map(int, match["sizes"].split("x"))), dtype(match["dtype"]) if match["dtype"] else None)


def dtype(text: str) -> torch.dtype:
    """``float16``, ``int64`` and whatever else torch calls a dtype."""
    found = getattr(torch, text, None)
    if not isinstance(found, torch.dtype):
        raise argparse.ArgumentTypeError(f"must be a dtype of torch such as float32 or int64, not {text!r}")
    return found
