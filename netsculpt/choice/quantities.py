"""Quantities that grow with axes, and are evaluated again quickly when one axis changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from netsculpt.graph import Graph
from netsculpt.graph.terms import Kind, Term, flatten

Monomial: TypeAlias = tuple[int, ...]  # numbers of axes, in ascending order; one that occurs twice is there twice
Polynomial: TypeAlias = dict[Monomial, float]


class Quantity(Protocol):
    """A number that depends on the sizes of axes."""

    def value(self, sizes: Sequence[int]) -> float:
        """At these sizes of the numbered axes."""
        ...

    def after(self, sizes: Sequence[int], value: float, axis: int, units: int) -> float:
        """When an axis then changes by ``units``; ``value`` is that at ``sizes``."""
        ...

    def neighbours(self, axis: int) -> Iterable[int]:
        """Axes whose units come to cost something else when ``axis`` changes."""
        ...


class Counted:
    """A polynomial of sizes, exact in whole numbers: parameters, multiply-accumulates, units."""

    def __init__(self, polynomial: Mapping[Monomial, float]) -> None:
        self._terms = dict(polynomial)
        self._by_axis: dict[int, list[tuple[float, int, Monomial]]] = {}
        self._neighbours: dict[int, set[int]] = {}
        for monomial, factor in self._terms.items():
            for axis in set(monomial):
                others = tuple(other for other in monomial if other != axis)
                self._by_axis.setdefault(axis, []).append((factor, len(monomial) - len(others), others))
                self._neighbours.setdefault(axis, set()).update(others)

    def value(self, sizes: Sequence[int]) -> float:
        """At these sizes."""
        total: float = 0
        for monomial, factor in self._terms.items():
            for axis in monomial:
                factor *= sizes[axis]
            total += factor
        return total

    def after(self, sizes: Sequence[int], value: float, axis: int, units: int) -> float:
        """When an axis then changes by ``units``."""
        old = sizes[axis]
        new = old + units
        for factor, power, others in self._by_axis.get(axis, ()):
            for other in others:
                factor *= sizes[other]
            value += factor * (units if power == 1 else new**power - old**power)
        return value

    def neighbours(self, axis: int) -> Iterable[int]:
        """Axes that share a product with ``axis``."""
        return self._neighbours.get(axis, ())


class Called:
    """A function of all axes' sizes by name, such as a latency."""

    def __init__(self, function: Callable[[Mapping[str, int]], float], names: Sequence[str], graph: Graph) -> None:
        self._function, self._names = function, names
        self._rest = {axis.name: axis.size for axis in graph}

    def value(self, sizes: Sequence[int]) -> float:
        """At these sizes."""
        return float(self._function({**self._rest, **dict(zip(self._names, sizes, strict=True))}))

    def after(self, sizes: Sequence[int], value: float, axis: int, units: int) -> float:
        """When an axis then changes by ``units``."""
        changed = list(sizes)
        changed[axis] += units
        return self.value(changed)

    def neighbours(self, axis: int) -> Iterable[int]:
        """None: what a unit costs is asked again when its own axis changes, and before anything is chosen."""
        return ()


def costs(graph: Graph, names: Sequence[str]) -> tuple[Polynomial, Polynomial]:
    """Parameters and multiply-accumulates as ``graph.cost`` counts them, as polynomials of the named axes' sizes."""
    numbers = {graph[name].term.find(): number for number, name in enumerate(names)}
    weights = [dims for name, dims in graph.tensors.items() if name in graph.parameters]
    one_example = {term.find(): 1 for term in graph.batch} if graph.dynamic_batch else {}
    return _sum(weights, numbers, {}), _sum(graph.products, numbers, one_example)


def assuming(polynomial: Polynomial, sizes: Mapping[int, int]) -> Polynomial:
    """The polynomial of the other axes when those in ``sizes`` have the given numbers of units."""
    found: Polynomial = {}
    for monomial, factor in polynomial.items():
        for axis in monomial:
            factor *= sizes.get(axis, 1)
        rest = tuple(axis for axis in monomial if axis not in sizes)
        found[rest] = found.get(rest, 0) + factor
    return found


def _sum(products: Iterable[Sequence[Term]], numbers: Mapping[Term, int], fixed: Mapping[Term, int]) -> Polynomial:
    known: dict[Term, Polynomial] = {}
    found: Polynomial = {}
    for terms in products:
        _add(found, _product([_of(term, numbers, fixed, known) for term in terms]))
    return found


def _of(
    term: Term, numbers: Mapping[Term, int], fixed: Mapping[Term, int], known: dict[Term, Polynomial]
) -> Polynomial:
    root = term.find()
    if root in known:
        return known[root]
    if root.kind is Kind.LEAF:
        found: Polynomial = {(numbers[root],): 1} if root in numbers else {(): fixed.get(root, root.size)}
    else:
        parts = [_of(part, numbers, fixed, known) for part in flatten(root, root.kind)]
        found = _product(parts) if root.kind is Kind.PRODUCT else {}
        if root.kind is Kind.CONCAT:
            for part in parts:
                _add(found, part)
    known[root] = found
    return found


def _add(total: Polynomial, other: Polynomial) -> None:
    for monomial, factor in other.items():
        total[monomial] = total.get(monomial, 0) + factor


def _product(parts: Iterable[Polynomial]) -> Polynomial:
    whole: Polynomial = {(): 1}
    for part in parts:
        found: Polynomial = {}
        for a, x in whole.items():
            for b, y in part.items():
                key = tuple(sorted(a + b))
                found[key] = found.get(key, 0) + x * y
        whole = found
    return whole
