"""A gather against its definition, entry by entry."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from netsculpt.errors import ShapeError
from netsculpt.graph.gather import Gather


def defined(tensor: Tensor, gather: Gather, fill: float, scaled: bool) -> Tensor:
    """The definition: loops over every entry of the new tensor."""
    shape = [len(gather.index.get(dim, range(size))) for dim, size in enumerate(tensor.shape)]
    new = torch.empty(shape, dtype=torch.float64)
    for place in itertools.product(*map(range, shape)):
        source = [int(gather.index[dim][i]) if dim in gather.index else i for dim, i in enumerate(place)]
        factor = 1.0
        for dim, scale in gather.scale.items() if scaled else ():
            factor *= float(scale[place[dim]])
        new[place] = fill if min(source, default=0) < 0 else float(tensor[tuple(source)]) * factor
    return new.to(tensor.dtype)


@st.composite
def gathers(draw: st.DrawFn) -> tuple[tuple[int, ...], Gather]:
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    index, scale = {}, {}
    for dim in draw(st.sets(st.integers(0, len(shape) - 1))):
        entries = draw(st.lists(st.integers(-1, shape[dim] - 1), min_size=0, max_size=6))
        index[dim] = torch.tensor(entries, dtype=torch.int64)
    for dim in draw(st.sets(st.integers(0, len(shape) - 1))):
        size = len(index.get(dim, range(shape[dim])))
        factors = draw(st.lists(st.sampled_from([1.0, 0.5, -2.0, 1 / 3, 0.1]), min_size=size, max_size=size))
        scale[dim] = torch.tensor(factors, dtype=torch.float64)
    return shape, Gather(index, scale)


@settings(max_examples=80, deadline=None)
@given(gathers(), st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.int64]), st.booleans())
def test_is_what_its_definition_says(case: tuple[tuple[int, ...], Gather], dtype: torch.dtype, scaled: bool) -> None:
    shape, gather = case
    tensor = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 100).to(dtype)
    new = gather.gather(tensor, fill=3.0, scaled=scaled)
    wanted = defined(tensor, gather, 3.0, scaled and dtype.is_floating_point)
    assert new.dtype == dtype
    if scaled and len(gather.scale) > 1 and dtype == torch.float64:
        torch.testing.assert_close(new, wanted, rtol=1e-15, atol=0)  # the factors multiply in another order
    else:
        assert torch.equal(new, wanted)


@pytest.mark.parametrize("piece", [1, 9, 30])
def test_moving_pieces_one_after_the_other_changes_nothing(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsculpt.graph.gather.PIECE", piece)
    index = {0: torch.tensor([3, -1, 0, 0, 2]), 1: torch.tensor([1, 0]), 3: torch.tensor([1, 1, -1])}
    tensor = torch.arange(4 * 2 * 3 * 2).reshape(4, 2, 3, 2)
    for each in (tensor, tensor.contiguous(memory_format=torch.channels_last)):
        new = Gather(index).gather(each)
        assert torch.equal(new, defined(each, Gather(index), 0.0, False))
        assert new.stride().index(1) == each.stride().index(1)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.complex64])
def test_other_dtypes(dtype: torch.dtype) -> None:
    tensor = torch.tensor([0, 1, 1, 0]).to(dtype)
    new = Gather({0: torch.tensor([1, -1, 0])}, {0: torch.tensor([2.0, 1, 1])}).gather(tensor)
    assert new.dtype == dtype
    assert torch.equal(new, torch.tensor([2 if dtype.is_complex else 1, 0, 0]).to(dtype))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(4, 6, 3, 3).to(memory_format=torch.channels_last),
        torch.randn(2, 4, 3, 3, 3).to(memory_format=torch.channels_last_3d),
        torch.randn(4, 6, 3, 3),
        torch.randn(4, 6, 1, 1).to(memory_format=torch.channels_last),
        torch.randn(6, 4).t(),
    ],
)
def test_the_order_in_memory_stays(tensor: Tensor) -> None:
    gather = Gather({0: torch.tensor([1, 0]), 1: torch.tensor([3, -1, 1])}, {1: torch.tensor([1.0, 1.0, 2.0])})
    new = gather.gather(tensor)
    order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
    assert sorted(range(new.dim()), key=new.stride, reverse=True) == order
    assert new.permute(order).is_contiguous()


def test_factors_are_rounded_once() -> None:
    tensor = torch.randn(1000)
    third = torch.full((1000,), 1 / 3, dtype=torch.float64)
    new = Gather({}, {0: third}).gather(tensor)
    assert torch.equal(new, (tensor.double() / 3).float())
    assert torch.equal(Gather({}, {0: torch.full((1000,), 2.0**-7)}).gather(tensor), tensor * 2.0**-7)


def test_the_result_has_its_own_memory_and_no_history() -> None:
    tensor = torch.randn(3, 2, requires_grad=True)
    for gather in (Gather({}), Gather({0: torch.arange(3)}), Gather({0: torch.tensor([0, 1])})):
        new = gather.gather(tensor)
        assert new.grad_fn is None
        assert new.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr()


def test_scalars_and_sparse_tensors() -> None:
    assert Gather({}).gather(torch.tensor(3)).item() == 3
    sparse = torch.eye(4).to_sparse(1)
    new = Gather({0: torch.tensor([2, -1]), 1: torch.tensor([2, 0])}).gather(sparse)
    assert new.sparse_dim() == 1
    assert torch.equal(new.to_dense(), torch.tensor([[1.0, 0.0], [0.0, 0.0]]))


def test_shapes_without_values() -> None:
    assert Gather({1: torch.tensor([0, 0, 1])}).gather(torch.empty(5, 2, device="meta")).shape == (5, 3)


@pytest.mark.parametrize(
    ("index", "scale", "message"),
    [
        ({0: torch.tensor([0.0])}, {}, r"index\[0\] must be int64 \[new size\], not torch.float32 \[1\]"),
        ({0: torch.tensor([[0]])}, {}, r"not torch.int64 \[1, 1\]"),
        ({0: torch.tensor([0])}, {0: torch.ones(2)}, r"scale\[0\] must have its index's shape \[1\], not \[2\]"),
    ],
)
def test_bad_gathers(index: dict[int, Tensor], scale: dict[int, Tensor], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        Gather(index, scale)


@pytest.mark.parametrize(
    ("gather", "message"),
    [
        (Gather({2: torch.tensor([0])}), r"dim 2 needs a tensor with that dim, not \[3, 2\]"),
        (Gather({0: torch.tensor([3])}), r"index\[0\] must lie in -1 … 2, not 3 … 3"),
        (Gather({0: torch.tensor([-2])}), r"not -2 … -2"),
        (Gather({}, {1: torch.ones(3)}), r"scale\[1\] must have size 2, not 3"),
    ],
)
def test_gathers_that_do_not_fit(gather: Gather, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        gather.gather(torch.zeros(3, 2))
