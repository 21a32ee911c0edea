"""taylor_gain against its reference, in every layout, and through the gates that it predicts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from netsculpt import reference
from netsculpt.errors import ShapeError
from netsculpt.ops import TaylorGain, taylor_gain
from tests.ops.conformance import OpConformance

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]


def pair(shape: tuple[int, ...], dtype: torch.dtype, device: str = "cpu") -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(len(shape) + sum(shape))
    a, g = (torch.randn(shape, dtype=torch.float64, generator=generator).to(device, dtype) for _ in range(2))
    return a, g


def laid_out(t: torch.Tensor, layout: str) -> torch.Tensor:
    """The same numbers in another place: each layout is one that the op tells apart."""
    if layout == "channels-last":
        return t.movedim(1, -1).contiguous().movedim(-1, 1)
    if layout == "batch inside":
        return t.transpose(0, 1).contiguous().transpose(0, 1)
    if layout == "channels inside" and t.dim() > 2:
        return t.transpose(1, 2).contiguous().transpose(1, 2)
    if layout == "padded":
        wide = torch.zeros(*t.shape[:-1], t.shape[-1] + 3, dtype=t.dtype, device=t.device)
        wide[..., : t.shape[-1]] = t
        return wide[..., : t.shape[-1]]
    if layout == "every other":
        return t.repeat_interleave(2, -1)[..., ::2]
    return t.contiguous()


LAYOUTS = ["contiguous", "channels-last", "batch inside", "channels inside", "padded", "every other"]


def assert_close(got: torch.Tensor, a: torch.Tensor, g: torch.Tensor) -> None:
    """Within the bound of the docstring: (8 u + n 2^-53) * absolute."""
    expected = reference.taylor_gain(a, g)
    products = (a.double() * g.double()).reshape(*a.shape[:2], a.shape[2:].numel())
    u = torch.finfo(torch.float64 if a.dtype == torch.float64 else torch.float32).eps / 2
    bound = 8 * u + 2 * (products.shape[0] * products.shape[2] + 8) * 2.0**-53  # twice: the reference rounds too
    per_sample, magnitude = products.sum(2).abs(), products.abs().sum(2)
    squares = (bound * magnitude * (2 * per_sample + bound * magnitude)).sum(0) + bound * expected[2]
    assert got.dtype == torch.float64 and got.shape == expected.shape
    for row, error in zip(range(3), (bound * expected[1], bound * expected[1], squares), strict=True):
        assert bool(((got[row] - expected[row]).abs() <= error + 1e-300).all()), row


class TestConformance(OpConformance):
    op = staticmethod(taylor_gain)
    packet = torch.ops.netsculpt.taylor_gain.default

    def samples(self, device: str) -> list[tuple[object, ...]]:
        shapes = [(4, 6, 5, 5), (33, 70), (0, 3, 2), (3, 2, 0), (1, 1, 1)]
        plain = [pair(shape, dtype, device) for shape, dtype in zip(shapes, [*DTYPES, torch.float32], strict=True)]
        a, g = pair((4, 19, 6, 6), torch.float32, device)
        return [*plain, (laid_out(a, "channels-last"), laid_out(g, "channels-last"))]


@given(
    batch=st.sampled_from([0, 1, 2, 5, 9]),
    channels=st.sampled_from([1, 3, 8, 15, 16, 17, 31, 33, 64, 100, 130, 144]),
    positions=st.sampled_from([(), (0,), (1,), (7,), (8, 2), (3, 5), (127,), (129,), (2, 3, 4)]),
    dtype=st.sampled_from(DTYPES),
    layouts=st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)) | st.sampled_from([(x, x) for x in LAYOUTS]),
)
def test_matches_reference(
    batch: int, channels: int, positions: tuple[int, ...], dtype: torch.dtype, layouts: tuple[str, str]
) -> None:
    a, g = pair((batch, channels, *positions), dtype)
    a, g = laid_out(a, layouts[0]), laid_out(g, layouts[1])
    assert_close(torch.stack(taylor_gain(a, g)), a, g)


# Around the sizes at which samples are gathered into pieces, or cut, on the CPU and on CUDA.
PIECES = [
    (1, 1, 70001),
    (2, 3, 65537),
    (3, 2, 32769),
    (600, 130, 2),
    (257, 300, 1),
    (5, 1100, 9),
    (1025, 5, 65),
    (300, 1030),
]


@pytest.mark.parametrize("shape", PIECES, ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels-last"])
def test_around_piece_boundaries(shape: tuple[int, ...], layout: str, device: str) -> None:
    a, g = (laid_out(t, layout) for t in pair(shape, torch.float32, device))
    assert_close(torch.stack(taylor_gain(a, g)), a, g)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_channels_last_equals_channels_first(dtype: torch.dtype, device: str) -> None:
    a, g = pair((6, 37, 9, 7), dtype, device)
    first = torch.stack(taylor_gain(a, g))
    last = torch.stack(taylor_gain(laid_out(a, "channels-last"), laid_out(g, "channels-last")))
    scale = first[1].clamp_min(1)
    tolerance = 16 * torch.finfo(torch.float64 if dtype == torch.float64 else torch.float32).eps
    assert bool(((first - last)[:2].abs() <= tolerance * scale).all())
    torch.testing.assert_close(first[2], last[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(40, 96, 30, 30), (3000, 700), (2, 3, 200000)], ids=str)
@pytest.mark.parametrize("layout", ["contiguous", "channels-last"])
def test_same_bits_for_any_number_of_threads(shape: tuple[int, ...], layout: str) -> None:
    a, g = (laid_out(t, layout) for t in pair(shape, torch.float32))
    threads = torch.get_num_threads()
    try:
        answers = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            answers.append(torch.stack(taylor_gain(a, g)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(answers[0], other) for other in answers[1:])


def test_signed_is_the_derivative_of_a_gate(device: str) -> None:
    """Multiply each channel by a gate: the loss' derivative at gates of one is ``signed``, by sample ``squared``."""
    x = torch.randn(6, 3, 8, 8, dtype=torch.float64, device=device)
    first, last = (torch.nn.Conv2d(*c, 3, dtype=torch.float64, device=device) for c in ((3, 5), (5, 4)))
    gates = torch.ones(6, 5, 1, 1, dtype=torch.float64, device=device, requires_grad=True)
    activations = torch.relu(first(x))
    loss = torch.tanh(last(activations * gates)).square().sum()
    g, by_sample = torch.autograd.grad(loss, [activations, gates])
    gain = taylor_gain(activations.detach(), g)
    assert isinstance(gain, TaylorGain)
    torch.testing.assert_close(gain.signed, by_sample.sum((0, 2, 3)))
    torch.testing.assert_close(gain.squared, by_sample.square().sum((0, 2, 3)))
    assert bool((gain.absolute >= gain.signed.abs()).all())


def test_not_a_number_stays_in_its_channel(device: str) -> None:
    a, g = pair((3, 40, 33), torch.float32, device)
    a[1, 7, 20] = torch.nan
    for layout in ("contiguous", "channels-last"):
        got = torch.stack(taylor_gain(laid_out(a, layout), laid_out(g, layout)))
        assert bool(got[:, 7].isnan().all()) and int(got.isnan().sum()) == 3


@pytest.mark.parametrize(
    ("a", "g", "message"),
    [
        (torch.ones(4), torch.ones(4), "a must have a batch and a channel dimension, not shape \\[4\\]"),
        (torch.ones(4, 3), torch.ones(4, 2), "g must have a's shape \\[4, 3\\], not \\[4, 2\\]"),
        (torch.ones(4, 3).int(), torch.ones(4, 3).int(), "a must be float32, float64, bfloat16 or float16, not"),
        (torch.ones(4, 3), torch.ones(4, 3).double(), "g must have a's dtype torch.float32, not torch.float64"),
        (torch.ones(4, 3), torch.ones(4, 3, device="meta"), "g must be on a's device cpu, not meta"),
    ],
)
def test_bad_input_is_one_sentence(a: torch.Tensor, g: torch.Tensor, message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        taylor_gain(a, g)
