"""taylor_gain_params against its reference, against taylor_gain, and through a gate over all of a channel's weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsculpt import reference
from netsculpt.errors import ShapeError
from netsculpt.ops import taylor_gain, taylor_gain_params
from tests.ops.conformance import OpConformance

Lists = tuple[list[torch.Tensor], list[torch.Tensor], list[int]]
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
# Shapes of one channel's parameters, C for the channels: a producer, its bias, a norm, consumers.
SHAPES = [("C", 3, 3, 3), ("C",), (5, "C"), (4, "C", 3, 3), (2, 3, "C"), ("C", 70), (33, "C", 1, 1), (2, "C", 5, 0)]


def lists(channels: int, shapes: list[tuple[int | str, ...]], dtypes: list[torch.dtype], device: str = "cpu") -> Lists:
    generator = torch.Generator().manual_seed(channels + len(shapes))
    params, grads, dims = [], [], []
    for i, shape in enumerate(shapes):
        sizes = [channels if isinstance(size, str) else size for size in shape]
        for out in (params, grads):
            t = torch.randn(sizes, dtype=torch.float64, generator=generator)
            out.append(t.to(device, dtypes[i % len(dtypes)]))
        dims.append(shape.index("C"))
    return params, grads, dims


def assert_close(got: torch.Tensor, params: list[torch.Tensor], grads: list[torch.Tensor], dims: list[int]) -> None:
    expected = reference.taylor_gain_params(params, grads, dims)
    narrow = any(p.dtype != torch.float64 for p in params)
    # The bound of taylor_gain, with room for the float64 sums of at most a few thousand values.
    bound = 8 * torch.finfo(torch.float32 if narrow else torch.float64).eps / 2 + 1e-12
    for row, error in zip(range(3), (expected[1], expected[1], 3 * expected[1].square()), strict=True):
        assert bool(((got[row] - expected[row]).abs() <= bound * error + 1e-300).all()), row


class TestConformance(OpConformance):
    op = staticmethod(taylor_gain_params)
    packet = torch.ops.netsculpt.taylor_gain_params.default

    def samples(self, device: str) -> list[tuple[object, ...]]:
        return [lists(9, SHAPES, DTYPES, device), lists(1, SHAPES[:1], DTYPES[:1], device), lists(0, SHAPES, DTYPES)]


@given(
    channels=st.sampled_from([0, 1, 3, 8, 9, 16, 17, 40, 130]),
    shapes=st.lists(st.sampled_from(SHAPES), min_size=1, max_size=6),
    dtypes=st.lists(st.sampled_from(DTYPES), min_size=1, max_size=3),
    channels_last=st.booleans(),
)
def test_matches_reference(
    channels: int, shapes: list[tuple[int | str, ...]], dtypes: list[torch.dtype], channels_last: bool
) -> None:
    params, grads, dims = lists(channels, shapes, dtypes)
    if channels_last:
        params = [p.contiguous(memory_format=torch.channels_last) if p.dim() == 4 else p for p in params]
    assert_close(torch.stack(taylor_gain_params(params, grads, dims)), params, grads, dims)


@pytest.mark.parametrize("count", [47, 48, 49, 97])
def test_more_entries_than_one_launch_takes(count: int, device: str) -> None:
    params, grads, dims = lists(19, [SHAPES[i % len(SHAPES)] for i in range(count)], DTYPES, device)
    assert_close(torch.stack(taylor_gain_params(params, grads, dims)), params, grads, dims)


def test_entries_play_the_part_of_samples(device: str) -> None:
    params, grads, _ = lists(21, [("C", 3, 5)] * 4, [torch.float64], device)
    got = taylor_gain_params(params, grads, [0] * 4)
    for ours, expected in zip(got, taylor_gain(torch.stack(params), torch.stack(grads)), strict=True):
        torch.testing.assert_close(ours, expected)


def test_signed_is_the_derivative_of_a_gate_over_the_parameters(device: str) -> None:
    x = torch.randn(6, 7, dtype=torch.float64, device=device)
    params = [torch.randn(s, dtype=torch.float64, device=device) for s in ((5, 7), (5,), (4, 5))]
    gates = torch.ones(5, 1, dtype=torch.float64, device=device, requires_grad=True)
    for p in params:
        p.requires_grad_()
    w, b, v = (p * gates.squeeze() if p.shape[-1] == 5 else p * gates for p in params)
    loss = (torch.tanh(x @ w.mT + b) @ v.mT).square().sum()
    *grads, by_gate = torch.autograd.grad(loss, [*params, gates])
    gain = taylor_gain_params([p.detach() for p in params], grads, [0, 0, -1])
    torch.testing.assert_close(gain.signed, by_gate.squeeze())


def test_same_bits_for_any_number_of_threads() -> None:
    args = lists(300, [("C", 300, 3), (300, "C", 2), (500, "C"), ("C",)], DTYPES)
    threads = torch.get_num_threads()
    try:
        answers = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            answers.append(torch.stack(taylor_gain_params(*args)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(answers[0], other) for other in answers[1:])


ONE = torch.ones(4, 3)


@pytest.mark.parametrize(
    ("params", "grads", "dims", "message"),
    [
        ([], [], [], "params must hold at least one tensor, not none"),
        ([ONE], [], [0], "grads must hold one tensor per parameter \\(1\\), not 0"),
        ([ONE], [ONE], [0, 1], "dims must hold one dimension per parameter \\(1\\), not 2"),
        (
            [ONE, ONE],
            [ONE, None],
            [0, 0],
            "grads\\[1\\] is None: the loss does not depend on params\\[1\\]; leave it out",
        ),
        ([ONE], [ONE.mT], [0], "grads\\[0\\] must have params\\[0\\]'s shape \\[4, 3\\], not \\[3, 4\\]"),
        ([ONE], [ONE.double()], [0], "grads\\[0\\] must have params\\[0\\]'s dtype torch.float32"),
        ([ONE.int()], [ONE.int()], [0], "params\\[0\\] must be float32, float64, bfloat16 or float16, not torch.int32"),
        ([ONE], [ONE], [2], "dims\\[0\\] must be a dimension of params\\[0\\], which has shape \\[4, 3\\], not 2"),
        ([ONE, ONE], [ONE, ONE], [0, 1], "params\\[1\\] must have params\\[0\\]'s 4 channels in dimension 1, not 3"),
        ([ONE], [ONE.to("meta")], [0], "grads\\[0\\] must be on params\\[0\\]'s device cpu, not meta"),
    ],
)
def test_bad_input_is_one_sentence(
    params: list[torch.Tensor], grads: list[torch.Tensor | None], dims: list[int], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        taylor_gain_params(params, grads, dims)
