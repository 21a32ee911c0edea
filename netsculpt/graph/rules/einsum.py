"""Contractions by letters."""

from __future__ import annotations

from collections.abc import Sequence

from netsculpt.graph.call import Call, summed
from netsculpt.graph.facts import Value
from netsculpt.graph.registry import rule
from netsculpt.graph.rules.contraction import contract, product_of


@rule("einsum")
def einsum(call: Call) -> Value:
    """One or two operands; with more of them, or a letter twice in one word, nothing is told apart."""
    operands = [value for value in call["tensors"] if isinstance(value, Value)]
    words, output = _words(call["equation"], [len(value.dims) for value in operands], len(call.shape))
    plain = len(operands) <= 2 and all(len(set(word)) == len(word) for word in (*words, output))
    if not plain:
        call.freeze((term for value in operands for term in value.dims), "an einsum of this form is not analysed")
        return Value(tuple(map(call.position, call.shape)))
    alone = [_summed_alone(call, value, word, words, output) for value, word in zip(operands, words, strict=True)]
    if len(alone) == 1:
        value, places = alone[0][0], dict(zip(alone[0][1], alone[0][0].dims, strict=True))
        return Value(tuple(places[letter] for letter in output), value.constant, value.tensors, made=value.made)
    (a, ours), (b, theirs) = alone
    shared = [(letter, (ours.index(letter), theirs.index(letter))) for letter in ours if letter in theirs]
    over = [pair for letter, pair in shared if letter not in output]
    found = contract(call, a, b, over, [pair for letter, pair in shared if letter in output])
    terms = dict(zip(theirs, b.dims, strict=True)) | {
        letter: term for letter, term in zip(ours, a.dims, strict=True) if letter not in theirs or term.size != 1
    }
    call.macs(terms.values())
    made = product_of(a, b, [i for i, _ in over], [j for _, j in over])
    return Value.of((terms[letter] for letter in output), (a, b), made, found)


def _words(equation: str, ndims: Sequence[int], ndim: int) -> tuple[list[str], str]:
    """The letters of every operand and of the output; digits count the dimensions of an ellipsis from the last one."""
    inputs, arrow, output = equation.replace(" ", "").partition("->")
    words = inputs.split(",")
    if not arrow:
        once = sorted(letter for letter in set(inputs) - {",", "."} if inputs.count(letter) == 1)
        output = ("..." if "..." in inputs else "") + "".join(once)
    opened = [_opened(word, size) for word, size in zip(words, ndims, strict=True)]
    return opened, _opened(output, ndim)


def _opened(word: str, ndim: int) -> str:
    count = ndim - len(word.replace("...", ""))
    return word.replace("...", "".join(chr(ord("0") + back) for back in range(count, 0, -1)))


def _summed_alone(call: Call, value: Value, word: str, words: Sequence[str], output: str) -> tuple[Value, str]:
    """``value`` without the letters that only it has and the output has not: they are summed before anything else."""
    others = "".join(words).replace(word, "", 1)
    gone = [dim for dim, letter in enumerate(word) if letter not in output and letter not in others]
    for dim in gone:
        call.contracted(value.dims[dim], (value, dim))
    kept = [dim for dim in range(len(word)) if dim not in gone]
    dims = tuple(value.dims[dim] for dim in kept)
    origin = None if value.origin is None else tuple(value.origin[dim] for dim in kept)
    left = Value(dims, value.constant, value.tensors, origin, summed(value, *gone) if gone else value.made)
    return left, "".join(word[dim] for dim in kept)
