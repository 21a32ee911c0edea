"""Random terms under random equations, against entries listed one by one."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netsculpt.graph.algebra import Algebra
from netsculpt.graph.costs import size_with
from netsculpt.graph.positions import factors, index_maps, sources
from netsculpt.graph.terms import Kind, Term, concat, forget_sizes, is_frozen, leaf, leaves, product

SIZES = (1, 2, 3, 4, 6, 8, 12, 24, 30)
Entry = tuple[tuple[Term, int], ...]  # the unit of every axis that an entry belongs to, outermost first


def entries(term: Term) -> list[Entry]:
    """All entries of a term in order, from the definition of products and concatenations."""
    root = term.find()
    if root.kind is Kind.LEAF:
        return [((root, unit),) for unit in range(root.size)]
    parts = [entries(part) for part in root.parts]
    if root.kind is Kind.CONCAT:
        return [entry for part in parts for entry in part]
    found: list[Entry] = [()]
    for part in parts:
        found = [slow + fast for slow in found for fast in part]
    return found


def free(term: Term) -> list[Entry]:
    """Entries by the axes that may change alone."""
    return [tuple(pair for pair in entry if pair[0].frozen is None) for entry in entries(term)]


def partitions(draw: st.DrawFn, size: int) -> list[int]:
    cuts = draw(st.sets(st.integers(1, size - 1), min_size=1, max_size=min(2, size - 1)))
    ends = [0, *sorted(cuts), size]
    return [end - start for start, end in itertools.pairwise(ends)]


def factorisation(draw: st.DrawFn, size: int) -> list[int]:
    found, rest = [], size
    while rest > 1 and len(found) < 3:
        found.append(draw(st.sampled_from([d for d in range(2, rest + 1) if rest % d == 0])))
        rest //= found[-1]
    return [*found, *([rest] if rest > 1 else []), *draw(st.sampled_from([[], [], [1]]))]


def grow(draw: st.DrawFn, size: int, pool: list[Term], depth: int = 3) -> Term:
    """A term of ``size``: new, or one from the pool, or made of both."""
    old = [term for term in pool if term.size == size]
    kind = draw(st.sampled_from(["leaf", "product", "concat", *(["old"] if old else [])]))
    if kind == "old":
        return draw(st.sampled_from(old))
    if kind == "product" and depth and size > 1:
        term = product([grow(draw, part, pool, depth - 1) for part in factorisation(draw, size)])
    elif kind == "concat" and depth and size > 1:
        term = concat([grow(draw, part, pool, depth - 1) for part in partitions(draw, size)])
    else:
        term = leaf(size, frozen=draw(st.sampled_from([None, None, None, "given"])))
    pool.append(term)
    return term


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Term], Algebra]:
    """Terms that share parts, after a few operations on them."""
    pool: list[Term] = []
    algebra = Algebra()
    algebra.where = lambda: "somewhere"
    for size in draw(st.lists(st.sampled_from(SIZES), min_size=1, max_size=3)):
        grow(draw, size, pool)
    for _ in range(draw(st.integers(0, 6))):
        operate(draw, pool, algebra)
    return pool, algebra


def operate(draw: st.DrawFn, pool: list[Term], algebra: Algebra) -> None:
    """One random operation, with what must hold right after it."""
    term = draw(st.sampled_from(pool))
    size, frozen = term.size, frozen_entries(pool)
    what = draw(st.sampled_from(["equate", "equate", "equate", "factor", "cut", "freeze"]))
    if what == "equate":
        other = grow(draw, size, pool)
        algebra.equate(term, other)
        assert free(term) == free(other)
    elif what == "factor":
        inner = draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
        found = algebra.factor(term, inner)
        if found is not None:
            assert (found[0].size, found[1].size) == (size // inner, inner)
            assert free(product(found)) == free(term)
    elif what == "cut" and size > 1:
        at = draw(st.integers(1, size - 1))
        found = algebra.cut(term, at)
        if found is not None:
            assert (found[0].size, found[1].size) == (at, size - at)
            assert free(concat(found)) == free(term)
    elif what == "freeze":
        algebra.freeze(term, "frozen by hand")
        assert is_frozen(term)
    for each, before in frozen:
        assert is_frozen(each), f"{before} is no longer frozen"


def frozen_entries(pool: list[Term]) -> list[tuple[Term, str]]:
    return [(term, repr(term)) for term in pool if is_frozen(term)]


@settings(max_examples=300)
@given(worlds())
def test_sizes_and_structure_survive_any_equations(world: tuple[list[Term], Algebra]) -> None:
    pool, _ = world
    for term in pool:
        listed = entries(term)
        assert len(listed) == term.size
        assert {axis for entry in listed for axis, _ in entry} == set(leaves(term))


@settings(max_examples=150)
@given(worlds())
def test_index_maps_say_where_units_lie(world: tuple[list[Term], Algebra]) -> None:
    for term in world[0]:
        listed = entries(term)
        for axis, places in index_maps(term):
            counted = np.zeros(len(listed))
            for unit in range(axis.size):
                found = places.entries(torch.tensor([unit])).tolist()
                assert len(found) == math.prod(count for count, _ in places.loops)
                counted[found] += 1
                assert all((axis, unit) in listed[entry] for entry in found)
            assert counted.max(initial=0) <= 1, "an entry belongs to one unit of an axis at a place"
        for axis in set(leaves(term)):
            everywhere = [places for each, places in index_maps(term) if each is axis]
            for unit in range(axis.size):
                found = sorted(e for places in everywhere for e in places.entries(torch.tensor([unit])).tolist())
                wanted = sorted(e for e, entry in enumerate(listed) for pair in entry if pair == (axis, unit))
                assert found == wanted


@st.composite
def changes(draw: st.DrawFn) -> tuple[Term, dict[Term, torch.Tensor]]:
    """A term, and for some of its axes the old unit of every new one."""
    pool, _ = draw(worlds())
    term = draw(st.sampled_from(pool))
    axes = list(dict.fromkeys(leaves(term)))
    chosen = draw(st.lists(st.sampled_from(axes), unique=True)) if axes else []
    units = {
        axis: torch.tensor(draw(st.lists(st.integers(-1, axis.size - 1), min_size=0, max_size=axis.size + 2)))
        for axis in chosen
    }
    return term, {axis: each.to(torch.int64) for axis, each in units.items()}


def changed(term: Term, units: dict[Term, torch.Tensor]) -> list[Entry]:
    """The entries of the term when its axes have new units: those named by old units, in the order of the new."""
    root = term.find()
    if root.kind is Kind.LEAF:
        return [((root, int(unit)),) for unit in units.get(root, torch.arange(root.size))]
    parts = [changed(part, units) for part in root.parts]
    if root.kind is Kind.CONCAT:
        return [entry for part in parts for entry in part]
    found: list[Entry] = [()]
    for part in parts:
        found = [slow + fast for slow in found for fast in part]
    return found


@settings(max_examples=200)
@given(changes())
def test_sources_are_what_removing_and_copying_labels_gives(change: tuple[Term, dict[Term, torch.Tensor]]) -> None:
    """By position, not by label: an axis that is in a term twice has entries with the same labels."""
    term, units = change
    labels = np.arange(term.size)
    wanted = by_position(term, units, labels)
    found = sources(term, units)
    assert found.dtype == torch.int64
    assert found.tolist() == wanted.tolist()
    assert len(found) == size_with(term, {axis: len(each) for axis, each in units.items()})
    listed = entries(term)
    for source, entry in zip(found.tolist(), changed(term, units), strict=True):
        assert source == -1 if any(unit < 0 for _, unit in entry) else listed[source] == entry


def by_position(term: Term, units: dict[Term, torch.Tensor], labels: np.ndarray) -> np.ndarray:
    """Labels of a dimension after units were removed, copied and put in, -1 for new ones."""
    root = term.find()
    if root.kind is Kind.LEAF:
        if root not in units:
            return labels
        kept = units[root].numpy()
        return np.where(kept < 0, -1, labels[kept]) if len(labels) else np.full(len(kept), -1)
    if root.kind is Kind.CONCAT:
        ends = np.cumsum([part.size for part in root.parts])[:-1]
        pieces = [by_position(p, units, piece) for p, piece in zip(root.parts, np.split(labels, ends), strict=True)]
        return np.concatenate(pieces)
    shape = [part.size for part in root.parts]
    grid = labels.reshape(shape)
    for dim, part in enumerate(root.parts):
        kept = by_position(part, units, np.arange(part.size))
        taken = np.take(grid, np.maximum(kept, 0), axis=dim)
        fresh = (kept < 0).reshape([-1 if d == dim else 1 for d in range(grid.ndim)])
        grid = np.where(fresh, -1, taken)
    return grid.flatten()


@settings(max_examples=100)
@given(changes(), st.integers(0, 2**16))
def test_factors_multiply_over_the_axes_of_an_entry(change: tuple[Term, dict[Term, torch.Tensor]], seed: int) -> None:
    term, units = change
    generator = torch.Generator().manual_seed(seed)
    sizes = {axis: len(each) for axis, each in units.items()}
    scales = {axis: torch.rand(size, generator=generator, dtype=torch.float64) for axis, size in sizes.items()}
    found = factors(term, scales, sizes)
    forgotten = {axis: axis.size for axis in sizes}
    for axis, size in sizes.items():
        axis.resize(size)
    wanted = [math.prod(float(scales[axis][unit]) for axis, unit in entry if axis in scales) for entry in entries(term)]
    for axis, size in forgotten.items():
        axis.resize(size)
    assert found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-14)


@given(changes())
def test_resized_axes_resize_what_contains_them(change: tuple[Term, dict[Term, torch.Tensor]]) -> None:
    term, units = change
    sizes = {axis: len(each) for axis, each in units.items()}
    expected = size_with(term, sizes)
    for axis, size in sizes.items():
        axis.resize(size)
    forget_sizes([term])
    assert term.size == expected == len(entries(term))


def algebra() -> Algebra:
    made = Algebra()
    made.where = lambda: "aten.add in block"
    return made


def test_a_width_that_is_divided_becomes_heads_and_a_head() -> None:
    width, heads, head = leaf(768), leaf(12), leaf(64)
    algebra().equate(width, product([heads, head]))
    assert [axis.size for axis in leaves(width)] == [12, 64]
    assert list(leaves(width)) == [heads, head]


def test_common_factors_are_found() -> None:
    a, b = product([leaf(2), leaf(12)]), product([leaf(6), leaf(4)])
    algebra().equate(a, b)
    assert [axis.size for axis in leaves(a)] == [2, 3, 4]
    assert free(a) == free(b)
    assert not is_frozen(a)


def test_factors_without_a_common_one_are_frozen_with_the_place() -> None:
    a, b = product([leaf(2), leaf(3)]), product([leaf(3), leaf(2)])
    algebra().equate(a, b)
    assert is_frozen(a) and is_frozen(b)
    reason = next(leaves(a)).frozen
    assert reason == "6 entries are divided as 2 × 3 and as 3 × 2, which no unit fits (aten.add in block)"


def test_unlike_sizes_are_frozen_with_both() -> None:
    a, b = leaf(8), leaf(4)
    algebra().equate(a, b)
    assert a.find().frozen == b.find().frozen == "dimensions of 8 and of 4 entries meet (aten.add in block)"


def test_uneven_concatenations_are_cut_where_either_ends() -> None:
    a, b = concat([leaf(3), leaf(5)]), concat([leaf(4), leaf(4)])
    algebra().equate(a, b)
    assert [axis.size for axis in leaves(a)] == [3, 1, 4]
    assert free(a) == free(b)
    assert not any(axis.frozen for axis in leaves(a))


def test_a_product_against_a_concatenation_divides_the_slowest_factor() -> None:
    heads, head = leaf(6), leaf(4)
    chain = concat([leaf(16), leaf(4), leaf(4)])
    algebra().equate(product([heads, head]), chain)
    assert [axis.size for axis in leaves(heads)] == [4, 1, 1]
    assert free(product([heads, head])) == free(chain)
    assert head.find().frozen is None


def test_a_concatenation_that_ends_inside_a_unit_is_frozen() -> None:
    whole, chain = product([leaf(3), leaf(4)]), concat([leaf(6), leaf(6)])
    algebra().equate(whole, chain)
    assert is_frozen(whole) and is_frozen(chain)


@pytest.mark.parametrize("unit", [None, "frozen"])
def test_an_axis_inside_itself_stays_itself(unit: str | None) -> None:
    width, single = leaf(6), leaf(1, frozen=unit)
    algebra().equate(width, Term(Kind.PRODUCT, None, (single, width)))
    assert width.find() is width and width.frozen is None
    assert single.frozen is not None


def test_a_product_inside_itself_makes_no_circle() -> None:
    inner = product([leaf(2), leaf(3)])
    outer = Term(Kind.PRODUCT, None, (leaf(1), inner))
    rules = algebra()
    rules.equate(inner, outer)
    rules.equate(outer, inner)
    assert len(entries(inner)) == len(entries(outer)) == 6
    assert outer.parts[0].frozen is not None


def test_one_times_itself_may_not_grow() -> None:
    single = leaf(1)
    algebra().equate(single, Term(Kind.PRODUCT, None, (single, single)))
    assert single.frozen is not None


def test_frozen_axes_stay_frozen_when_they_are_divided() -> None:
    rules, width = algebra(), leaf(12)
    rules.freeze(width, "an output")
    outer, inner = rules.factor(width, 4) or (None, None)
    assert outer is not None and inner is not None
    first, second = rules.cut(inner, 1) or (None, None)
    assert {each.frozen for each in (outer, first, second) if each is not None} == {"an output"}


def test_the_first_reason_stays() -> None:
    rules, width = algebra(), leaf(12)
    rules.freeze(width, "first")
    rules.freeze(width, "second")
    rules.equate(width, leaf(12))
    assert width.find().frozen == "first"


def test_five_hundred_nested_concatenations() -> None:
    """A dense block's chain, in which every layer adds a piece to what came before."""
    rules, chain = algebra(), leaf(2)
    for _ in range(500):
        chain = concat([chain, leaf(3)])
        rules.equate(leaf(chain.size), chain)
    assert chain.size == 1502
    maps = list(index_maps(chain))
    assert [places.offset for _, places in maps[:3]] == [0, 2, 5]
    axis = maps[250][0]
    kept = sources(chain, {axis: torch.tensor([2])})
    assert len(kept) == 1500
    assert kept.tolist() == [entry for entry in range(1502) if entry - maps[250][1].offset not in (0, 1)]
    axis.resize(1)
    forget_sizes([chain])
    assert chain.size == size_with(chain, {}) == 1500
    assert len(factors(chain, {}, {})) == 1500
    assert "…" in str(chain) and len(repr(chain)) < 100


def test_terms_are_shown_by_their_sizes() -> None:
    assert str(leaf(12)) == "12"
    assert str(product([leaf(4), leaf(1), leaf(3)])) == "4 × 3"
    assert str(concat([product([leaf(2), leaf(3)]), leaf(1)])) == "6 + 1"
    assert repr(leaf(2, frozen="why")) == "<leaf of 2: 2, frozen>"
