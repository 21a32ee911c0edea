"""Equating terms: unification with refinement.

Leaves are bound by union-find; products and concatenations of unlike shape are refined to common factors and common
cuts. What has no common refinement (6 = 2 × 3 against 3 × 2) is frozen, with the place where it happened.
"""

from collections.abc import Callable

from netsculpt.graph.terms import Kind, Term, concat, flatten, leaf, leaves, product


class Algebra:
    """Equates and freezes terms. ``where`` tells the operation that asks for it, which reasons name."""

    def __init__(self) -> None:
        self.where: Callable[[], str] = str

    def freeze(self, term: Term, why: str) -> None:
        """Forbid changing the units of every axis in ``term``; the first reason stays."""
        stack = [term]
        while stack:
            root = stack.pop().find()
            if root.frozen is None:
                root.frozen = why
                stack.extend(root.parts)

    def equate(self, a: Term, b: Term) -> None:
        """Make ``a`` and ``b`` the same, refining both as far as it takes."""
        a, b = a.find(), b.find()
        if a is b:
            return
        if a.size != b.size:
            self._give_up(a, b)
        elif a.kind is Kind.LEAF:
            self._bind(a, b)
        elif b.kind is Kind.LEAF:
            self._bind(b, a)
        else:
            if self._match(a, b):
                self._merge(a.find(), b.find())
            else:
                self._give_up(a, b)

    def factor(self, term: Term, inner: int) -> tuple[Term, Term] | None:
        """``term`` as (outer, inner) with ``inner`` entries running fastest; None where it cannot be factored."""
        term = term.find()
        if term.size % inner:
            return None
        if term.kind is Kind.LEAF:
            outer_leaf, inner_leaf = leaf(term.size // inner), leaf(inner)
            self._link(term, Term(Kind.PRODUCT, None, (outer_leaf, inner_leaf)))
            return outer_leaf, inner_leaf
        if term.kind is Kind.PRODUCT:
            whole = leaf(inner)
            outer = leaf(term.size // inner)
            return (outer, whole) if self._match_products(term, Term(Kind.PRODUCT, None, (outer, whole))) else None
        if any(part.size % inner for part in term.parts):
            return None
        shared, outers = leaf(inner), []
        for part in term.parts:
            outers.append(self._outer(part.size // inner))
            self.equate(part, product((outers[-1], shared)))
        return concat(outers), shared

    def cut(self, term: Term, at: int) -> tuple[Term, Term] | None:
        """``term`` as two pieces, the first with ``at`` entries; None where that would cut through a unit."""
        term = term.find()
        if term.kind is Kind.LEAF:
            first, second = leaf(at), leaf(term.size - at)
            self._link(term, Term(Kind.CONCAT, None, (first, second)))
            return first, second
        if term.kind is Kind.PRODUCT:
            rest = product(term.parts[1:])
            if at % rest.size:
                return None
            pieces = self.cut(term.parts[0], at // rest.size)
            if pieces is None:
                return None
            return product((self._mark(pieces[0]), rest)), product((self._mark(pieces[1]), rest))
        return self._cut_concat(term, at)

    def _cut_concat(self, term: Term, at: int) -> tuple[Term, Term] | None:
        before = 0
        for number, part in enumerate(term.parts):
            if at == before:
                return concat(term.parts[:number]), concat(term.parts[number:])
            if at < before + part.size:
                pieces = self.cut(part, at - before)
                if pieces is None:
                    return None
                return concat((*term.parts[:number], pieces[0])), concat((pieces[1], *term.parts[number + 1 :]))
            before += part.size
        return None

    def _mark(self, piece: Term) -> Term:
        if piece.size == 1:
            self.freeze(piece, f"a single piece of a whole that is divided ({self.where()})")
        return piece

    def _outer(self, size: int) -> Term:
        return self._mark(leaf(size))

    def _bind(self, bound: Term, to: Term) -> None:
        inside = list(leaves(to)) if to.kind is not Kind.LEAF else []
        times = sum(axis is bound for axis in inside)
        if not times:
            self._link(bound, to)
            return
        for axis in inside:  # beside an axis inside itself there is only what has no extent, and must stay so
            if axis is not bound or times > 1:
                self.freeze(axis, f"a dimension of size {axis.size} ({self.where()})")

    def _merge(self, a: Term, b: Term) -> None:
        """Have one stand for both, unless it is a part of the other one, which only adds dimensions of size 1."""
        if a is not b and not _occurs(a, b) and not _occurs(b, a):
            self._link(a, b)

    def _link(self, root: Term, to: Term) -> None:
        root.link = to
        if root.frozen is not None:
            self.freeze(to, root.frozen)

    def _give_up(self, a: Term, b: Term) -> None:
        if a.size != b.size:
            why = f"dimensions of {a.size} and of {b.size} entries meet ({self.where()})"
        else:
            why = f"{a.size} entries are divided as {a} and as {b}, which no unit fits ({self.where()})"
        self.freeze(a, why)
        self.freeze(b, why)

    def _match(self, a: Term, b: Term) -> bool:
        if a.kind is b.kind:
            return self._match_products(a, b) if a.kind is Kind.PRODUCT else self._match_concats(a, b)
        return self._match_mixed(a, b) if a.kind is Kind.PRODUCT else self._match_mixed(b, a)

    def _match_products(self, a: Term, b: Term) -> bool:
        """From the fastest factor outwards, splitting the larger one by the smaller."""
        left, right = flatten(a, Kind.PRODUCT), flatten(b, Kind.PRODUCT)
        while left and right:
            x, y = left.pop(), right.pop()
            if x.size == y.size:
                self.equate(x, y)
                continue
            larger, smaller, rest = (x, y, left) if x.size > y.size else (y, x, right)
            factors = self.factor(larger, smaller.size)
            if factors is None:
                return False
            self.equate(factors[1], smaller)
            rest.extend(flatten(factors[0], Kind.PRODUCT))
        for term in (*left, *right):
            self.freeze(term, f"a dimension of size 1 ({self.where()})")
        return True

    def _match_concats(self, a: Term, b: Term) -> bool:
        """From the first part on, cutting the longer one where the shorter ends."""
        left, right = flatten(a, Kind.CONCAT)[::-1], flatten(b, Kind.CONCAT)[::-1]
        while left and right:
            x, y = left.pop(), right.pop()
            if x.size == y.size:
                self.equate(x, y)
                continue
            longer, shorter, rest = (x, y, left) if x.size > y.size else (y, x, right)
            pieces = self.cut(longer, shorter.size)
            if pieces is None:
                return False
            self.equate(pieces[0], shorter)
            rest.extend(flatten(pieces[1], Kind.CONCAT)[::-1])
        return True

    def _match_mixed(self, whole: Term, chain: Term) -> bool:
        """A product against a concatenation: cut the product's slowest factor where the parts end."""
        parts = flatten(chain, Kind.CONCAT)
        outer, *inner = flatten(whole, Kind.PRODUCT)
        rest = product(inner)
        if any(part.size % rest.size for part in parts):
            return False
        pieces = [self._outer(part.size // rest.size) for part in parts]
        self.equate(outer, concat(pieces))
        for part, piece in zip(parts, pieces, strict=True):
            self.equate(part, product((piece, rest)))
        return True


def _occurs(inner: Term, outer: Term) -> bool:
    """Whether ``inner`` is a part of ``outer``, both as ``find`` returns them and of the same size."""
    stack = [outer]
    while stack:
        root = stack.pop().find()
        if root is inner:
            return True
        stack.extend(part for part in root.parts if part.size == inner.size)
    return False
