"""Module attributes that state sizes: what has to follow when an axis changes.

torch's own layers are known by class. In a user's module, an integer attribute with a telling name (num_heads,
head_dim, split_size …) follows the dimension that the module's forward divided or merged by just that number. Factors
that one attribute sizes are one axis: query, key and value heads of a module with one ``head_dim`` change together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from netsculpt.graph.algebra import Algebra
from netsculpt.graph.analysis import Analysis
from netsculpt.graph.costs import size_with
from netsculpt.graph.facts import Role, SizeFact
from netsculpt.graph.rehearsal import Fault
from netsculpt.graph.source import module_of, source_of
from netsculpt.graph.terms import Term, is_frozen, leaf, product

COUNTS = re.compile(
    r"(^|_)(n|num|kv|key_value|query|attention)?_?(heads?|groups?|rep)s?$|^nhead$|^num_key_value_groups$"
)
WIDTHS = re.compile(
    r"(^|_)(dim|dims|size|width|channels?|features?|hidden|inner|embed|ch|units|d|nf|nx)(_|$)|^d_|^n_embd$"
)
PLACES = re.compile(r"patch|window|shift|kernel|vocab|image|block|pool|grid|seq|len|pos|max|step|chunk|pad|strid|batch")


class SizeAttribute(NamedTuple):
    """``attribute`` of the module at ``module`` is the size of the only term, or a tuple of the sizes of all."""

    module: str
    attribute: str
    terms: tuple[Term, ...]
    as_tuple: bool = False


def _states(module: str, attribute: str, term: Term) -> SizeAttribute:
    return SizeAttribute(module, attribute, (term,))


def find_attributes(model: nn.Module, analysis: Analysis) -> list[SizeAttribute]:
    """All attributes that state the size of a dimension that may change; ties what one attribute sizes.

    A size that is written out and that no attribute states freezes its axes.
    """
    found: list[SizeAttribute] = []
    stated = _by_module(model, analysis.facts.sizes)
    made = _made_by(analysis)
    for path, module in model.named_modules():
        facts = stated.get(path, [])
        found.extend(_of_layer(path, module, analysis, facts))
        matched = _of_code(path, module, facts, made.get(path, ()), analysis.algebra) if facts else []
        found.extend(matched)
        for fact in facts:
            _freeze_literal(fact, matched, analysis.algebra)
    return [each for each in found if not all(map(is_frozen, each.terms))]


def _by_module(model: nn.Module, facts: list[SizeFact]) -> dict[str, list[SizeFact]]:
    """Facts by the first name of the module whose code they are about, which may have several."""
    first: dict[int, str] = {}
    names = {path: first.setdefault(id(module), path) for path, module in model.named_modules(remove_duplicate=False)}
    grouped: dict[str, list[SizeFact]] = {}
    for fact in facts:
        path = module_of(fact.node)
        grouped.setdefault(names.get(path, path), []).append(fact)
    return grouped


def _of_layer(path: str, module: nn.Module, analysis: Analysis, facts: Sequence[SizeFact]) -> Iterator[SizeAttribute]:
    """Attributes of torch's own layers, from the dimensions of their tensors."""
    prefix = f"{path}." if path else ""

    def dims(*names: str) -> tuple[Term, ...]:
        return next((analysis.tensors[prefix + name] for name in names if prefix + name in analysis.tensors), ())

    weight = dims("weight", "parametrizations.weight.original1", "parametrizations.weight.original", "weight_v")
    if isinstance(module, _ConvNd) and weight:
        yield from _of_convolution(path, module, weight)
    elif isinstance(module, nn.Linear) and weight:
        yield _states(path, "out_features", weight[0])
        yield _states(path, "in_features", weight[1])
    elif isinstance(module, _NormBase) and (weight or dims("running_mean")):
        yield _states(path, "num_features", (weight or dims("running_mean"))[0])
    elif isinstance(module, nn.GroupNorm) and weight:
        yield _states(path, "num_channels", weight[0])
    elif isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
        over = weight or tuple(fact.term for fact in facts)
        if [term.size for term in over] == list(module.normalized_shape):
            yield SizeAttribute(path, "normalized_shape", over, as_tuple=True)
    elif isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and weight:
        yield _states(path, "embedding_dim", weight[1])
    elif isinstance(module, nn.PReLU) and weight:
        yield _states(path, "num_parameters", weight[0])
    elif isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
        yield from _of_recurrent(path, dims("weight_ih_l0", "weight_ih"), dims("weight_hh_l0", "weight_hh"))
    elif isinstance(module, nn.Unflatten):
        yield from _of_unflatten(path, module, facts)
    elif isinstance(module, nn.MultiheadAttention):
        yield from _of_attention(path, module, dims, analysis.algebra)


def _of_convolution(path: str, module: _ConvNd, weight: tuple[Term, ...]) -> Iterator[SizeAttribute]:
    transposed = isinstance(module, _ConvTransposeNd)
    rows, columns = ("in_channels", "out_channels") if transposed else ("out_channels", "in_channels")
    yield _states(path, rows, weight[0])
    # Divided by the groups in the weight; their number is stated by the operation itself.
    yield _states(path, columns, _times_groups(module, weight))
    if module.groups > 1:
        yield _states(path, "groups", _groups(module, weight))


def _groups(module: _ConvNd, weight: tuple[Term, ...]) -> Term:
    rows = weight[0].find()
    if rows.size == module.groups:
        return rows
    factors = Algebra().factor(rows, rows.size // module.groups)  # the rule has factored it: nothing is refined here
    return factors[0] if factors is not None else leaf(module.groups, frozen="groups")


def _times_groups(module: _ConvNd, weight: tuple[Term, ...]) -> Term:
    if module.groups == 1:
        return weight[1]
    groups = _groups(module, weight)
    return groups if weight[1].size == 1 else product((groups, weight[1]))


def _of_unflatten(path: str, module: nn.Unflatten, facts: Sequence[SizeFact]) -> Iterator[SizeAttribute]:
    factors = [fact.term for fact in facts if fact.place is not None]
    if [term.size for term in factors] == list(module.unflattened_size):
        yield SizeAttribute(path, "unflattened_size", tuple(factors), as_tuple=True)


def _of_recurrent(path: str, inputs: tuple[Term, ...], hidden: tuple[Term, ...]) -> Iterator[SizeAttribute]:
    if inputs and hidden:
        yield _states(path, "input_size", inputs[1])
        yield _states(path, "hidden_size", hidden[1])


def _of_attention(path: str, module: nn.MultiheadAttention, dims: object, algebra: Algebra) -> Iterator[SizeAttribute]:
    """torch's attention takes its inner width from its input, so both are one: heads × head width."""
    packed, output = dims("in_proj_weight"), dims("out_proj.weight")  # type: ignore[operator]
    separate = [dims(f"{letter}_proj_weight") for letter in "qkv"]  # type: ignore[operator]
    if not output or not (packed or separate[0]):
        return
    width = packed[1] if packed else separate[0][1]
    if packed:
        algebra.equate(packed[0], product((leaf(3, frozen="query, key, value"), width)))
    for each in separate:
        if each:
            algebra.equate(each[0], width)
    algebra.equate(output[1], width)
    algebra.equate(output[0], width)
    factors = algebra.factor(width, module.embed_dim // module.num_heads)
    if factors is None:
        algebra.freeze(width, f"{path} divides it into heads")
        return
    heads, head = factors
    yield _states(path, "embed_dim", width)
    yield _states(path, "num_heads", heads)
    yield _states(path, "head_dim", head)
    for attribute, each in zip(("kdim", "vdim"), separate[1:], strict=True):
        yield _states(path, attribute, each[1] if each else width)


def _of_code(
    path: str, module: nn.Module, facts: Sequence[SizeFact], made: Sequence[Term], algebra: Algebra
) -> list[SizeAttribute]:
    """Attributes of a user's module that its forward divided or merged dimensions by."""
    found = _split_sizes(path, module, facts)
    for name, value in list(vars(module).items()):
        if isinstance(value, bool) or not isinstance(value, int) or value < 2 or PLACES.search(name):
            continue
        counts, widths = COUNTS.search(name) is not None, WIDTHS.search(name) is not None
        matching = [fact for fact in facts if fact.term.size == value and not is_frozen(fact.term)]
        if not matching or not (counts or widths):
            continue
        factors = [fact for fact in matching if fact.place is not None and (not fact.last if counts else fact.last)]
        for fact in factors[1:]:
            algebra.equate(factors[0].term, fact.term)
        chosen = factors[0].term if factors else _likeliest([fact.term for fact in matching], made, name)
        found.append(_states(path, name, chosen))
    return found


def _made_by(analysis: Analysis) -> dict[str, list[Term]]:
    """The dimensions that the tensors of each module make."""
    made: dict[str, list[Term]] = {}
    for fact in analysis.facts.roles:
        if fact.role is Role.PRODUCER:
            for path in dict.fromkeys(name.rpartition(".")[0] for name in sorted(fact.tensors)):
                made.setdefault(path, []).append(fact.term)
    return made


def _likeliest(terms: Sequence[Term], made: Sequence[Term], name: str) -> Term:
    """Which of several dimensions of one size an attribute states: what the module makes, or by its name takes."""
    own = {term.find() for term in made}
    for term in terms:
        if (term.find() in own) is not name.startswith(("in", "nx")):
            return term
    return terms[0]


def _split_sizes(path: str, module: nn.Module, facts: Sequence[SizeFact]) -> list[SizeAttribute]:
    """A tuple of the sizes of pieces that one operation cuts."""
    cuts: dict[str, list[Term]] = {}
    for fact in facts:
        if fact.literal:
            cuts.setdefault(fact.node.name, []).append(fact.term)
    found = []
    for name, value in list(vars(module).items()):
        for terms in cuts.values():
            if isinstance(value, (tuple, list)) and list(value) == [term.size for term in terms]:
                found.append(SizeAttribute(path, name, tuple(terms), as_tuple=True))
    return found


def _freeze_literal(fact: SizeFact, matched: list[SizeAttribute], algebra: Algebra) -> None:
    stated = any(term.find() is fact.term.find() for each in matched for term in each.terms)
    if fact.literal and not stated and not is_frozen(fact.term):
        algebra.freeze(fact.term, f"its size is written into the code ({source_of(fact.node)})")


def tie_merged(analysis: Analysis, faults: Iterable[Fault], sizes: Mapping[Term, int]) -> bool:
    """Where code merges axes into the size of something else, take them for the width of the module's input.

    ``b, n, c = x.shape … out.reshape(b, n, c)`` is how much attention is written: its inner width is its input's.

    Args:
        analysis: in which the axes are tied.
        faults: operations that did not follow when axes got ``sizes``.
        sizes: axis -> number of units.

    Returns:
        Whether anything was tied.
    """
    given = {fault.step.node: fault for fault in faults}
    pairs = []
    for fact in analysis.facts.sizes:
        if fact.place is None and fact.given and fact.node in given:
            asked = _asked(given[fact.node], fact.term)
            width = _input_width(analysis, module_of(fact.node), fact.term, asked, sizes)
            if asked != size_with(fact.term, sizes) and width is not None:
                pairs.append((fact.term, width))
    for merged, width in pairs:
        analysis.algebra.equate(merged, width)
    return bool(pairs)


def _asked(fault: Fault, term: Term) -> int | None:
    """The size that the code gave for one dimension of a view; None where it gave none."""
    dims = fault.step.outputs[0]
    at = next((k for k, each in enumerate(dims) if each is term), None)
    return fault.asked[at] if at is not None and len(fault.asked) == len(dims) else None


def _input_width(
    analysis: Analysis, module: str, like: Term, asked: int | None, sizes: Mapping[Term, int]
) -> Term | None:
    """A dimension of the size of ``like`` that a weight inside ``module`` uses, and that now has the size ``asked``."""
    for fact in analysis.facts.roles:
        term, inside = fact.term, any(not module or name.startswith(f"{module}.") for name in fact.tensors)
        other = term.size == like.size and term.find() is not like.find()
        if inside and other and fact.role is Role.CONSUMER and size_with(term, sizes) == asked:
            return term
    return None
