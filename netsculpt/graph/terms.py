"""Terms: what is known about one dimension of a tensor.

A term is a *leaf* (an axis, as far as is known), a row-major *product* of terms (the last one runs fastest: channels ×
height × width of a flatten, heads × width of attention) or a *concatenation* of terms (cat, chunk, fused projections).
``algebra`` equates them. Positions are never listed: the cost follows the number of terms, not their sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from enum import Enum

MANY = 6  # parts of a term that are shown


class Kind(Enum):
    """How a term is made of its parts."""

    LEAF = "leaf"
    PRODUCT = "product"
    CONCAT = "concat"


class Term:
    """One dimension, or a part of one. Two terms are the same where ``find`` returns the same object for both."""

    __slots__ = ("_size", "frozen", "kind", "link", "parts")

    def __init__(self, kind: Kind, size: int | None, parts: tuple[Term, ...] = (), frozen: str | None = None) -> None:
        self.kind = kind
        self.parts = parts
        self.frozen = frozen  # why its units may not change; on a compound: a mark that its leaves are frozen already
        self.link: Term | None = None
        self._size = size  # None: to be computed from the parts

    def find(self) -> Term:
        """The root of this term's union-find tree."""
        root = self
        while root.link is not None:
            root = root.link
        while self is not root:
            self.link, self = root, self.link
        return root

    @property
    def size(self) -> int:
        """Number of entries."""
        root = self.find()
        if root._size is None:
            _measure(root)
        assert root._size is not None
        return root._size

    def resize(self, size: int) -> None:
        """Give a leaf another number of units; ``forget_sizes`` of what contains it comes after."""
        self.find()._size = size

    def __str__(self) -> str:
        """The sizes that the dimension is made of, one level deep: "12", "4 × 3", "8 + 4"."""
        root = self.find()
        sizes = [part.size for part in flatten(root, root.kind)] if root.kind is not Kind.LEAF else [root.size]
        shown = [str(size) for size in sizes if root.kind is Kind.CONCAT or size != 1] or ["1"]
        if len(shown) > MANY:
            shown = [*shown[: MANY - 1], "…"]
        return (" × " if root.kind is Kind.PRODUCT else " + ").join(shown)

    def __repr__(self) -> str:
        root = self.find()
        return f"<{root.kind.value} of {root.size}: {root}{', frozen' if root.frozen else ''}>"


def _measure(term: Term) -> None:
    """Compute the sizes of ``term`` and of everything in it, however deep it is nested."""
    stack = [term]
    while stack:
        root = stack[-1]
        parts = [part.find() for part in root.parts]
        missing = [part for part in parts if part._size is None]
        stack.extend(missing)
        if not missing:
            sizes = [part._size for part in parts if part._size is not None]
            root._size = math.prod(sizes) if root.kind is Kind.PRODUCT else sum(sizes)
            stack.pop()


def leaf(size: int, frozen: str | None = None) -> Term:
    """A new axis of ``size`` units."""
    return Term(Kind.LEAF, size, frozen=frozen)


def product(parts: Iterable[Term]) -> Term:
    """The row-major product of ``parts``; frozen parts of size 1 are left out, and one part alone is itself."""
    kept = tuple(part for part in parts if part.size != 1 or not part.find().frozen)
    if not kept:
        return leaf(1, frozen="a dimension of size 1")
    return kept[0] if len(kept) == 1 else Term(Kind.PRODUCT, None, kept)


def concat(parts: Iterable[Term]) -> Term:
    """``parts`` one after the other; one part alone is itself."""
    kept = tuple(parts)
    return kept[0] if len(kept) == 1 else Term(Kind.CONCAT, None, kept)


def leaves(term: Term) -> Iterator[Term]:
    """The axes in ``term``, outermost and first ones first; one that occurs twice comes twice."""
    stack = [term]
    while stack:
        root = stack.pop().find()
        if root.kind is Kind.LEAF:
            yield root
        else:
            stack.extend(reversed(root.parts))


def is_frozen(term: Term) -> bool:
    """Whether no axis in ``term`` may change."""
    return term.find().frozen is not None or all(axis.frozen is not None for axis in leaves(term))


def flatten(term: Term, kind: Kind) -> list[Term]:
    """The parts of ``term`` with nested terms of the same ``kind`` opened; the term itself where it is of another."""
    opened: list[Term] = []
    stack = [term]
    while stack:
        root = stack.pop().find()
        if root.kind is kind:
            stack.extend(reversed(root.parts))
        else:
            opened.append(root)
    return opened


def forget_sizes(terms: Iterable[Term]) -> None:
    """Have every compound among ``terms`` and inside them compute its size anew."""
    seen: set[int] = set()
    stack = list(terms)
    while stack:
        root = stack.pop().find()
        if id(root) not in seen and root.kind is not Kind.LEAF:
            seen.add(id(root))
            root._size = None
            stack.extend(root.parts)
