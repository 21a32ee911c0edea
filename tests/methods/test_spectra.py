"""S5: the ends of spectra by both routes, and residuals that are true."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from netsculpt.errors import ArgumentError, MeasureError
from netsculpt.methods.splitting import Spectrum, spectra
from netsculpt.methods.splitting.lanczos import Lanczos
from netsculpt.methods.splitting.routes import cheapest, costs
from netsculpt.methods.splitting.spectra import multiply
from tests.measure.measured import matrices, statistics
from tests.measure.networks import case

Ends = Literal["lowest", "both"]


def true_residuals(s: Tensor, spectrum: Spectrum) -> Tensor:
    """‖Sv - λv‖ relative to the larger |λ|."""
    off = torch.einsum("mde,mre->mrd", s, spectrum.vectors) - spectrum.values[:, :, None] * spectrum.vectors
    return off.norm(dim=2) / spectrum.values.abs().amax(1, keepdim=True)


@pytest.mark.parametrize("name", ["Strided", "Squeeze", "SwiGlu", "Attention"])
def test_ends_are_those_of_the_whole_matrix(name: str) -> None:
    stats = statistics(case(name))
    for axis, spectrum in spectra(stats, route="products").items():
        s = matrices(stats, axis)
        values = torch.linalg.eigvalsh(s)[:, [0, -1]]
        torch.testing.assert_close(spectrum.values, values, rtol=1e-9, atol=1e-9 * float(values.abs().max()))
        torch.testing.assert_close(spectrum.vectors.norm(dim=2), torch.ones_like(values))
        assert float(true_residuals(s, spectrum).max()) < 1e-7


@pytest.mark.parametrize("name", ["Strided", "VitMlp", "Conv1d", "Gpt2"])
def test_both_routes_agree(name: str) -> None:
    stats = statistics(case(name))
    axes = [axis for axis, unit in stats.units.items() if unit.explicit]
    made, multiplied = (spectra(stats, axes, route=route) for route in ("explicit", "products"))
    for axis in axes:
        assert (made[axis].route, made[axis].products) == ("explicit", 0)
        assert multiplied[axis].route == "products" and multiplied[axis].products > 0
        torch.testing.assert_close(made[axis].values, multiplied[axis].values, rtol=1e-7, atol=1e-12)
        along = (made[axis].vectors * multiplied[axis].vectors).sum(2).abs()
        gaps = torch.linalg.eigvalsh(matrices(stats, axis)).diff(dim=1)[:, [0, -1]]
        clear = gaps > 1e-3 * made[axis].values.abs().amax(1, keepdim=True)
        assert clear.any()
        torch.testing.assert_close(along[clear], torch.ones_like(along[clear]), rtol=0, atol=1e-6)


def test_too_few_products_are_confessed() -> None:
    stats = statistics(case("Squeeze"))
    s = matrices(stats, "conv")
    lowest = torch.linalg.eigvalsh(s)[:, 0]
    errors = []
    for most in (2, 4, 8, 16):
        spectrum = spectra(stats, max_products=most)["conv"]
        assert spectrum.products == most
        torch.testing.assert_close(spectrum.residuals, true_residuals(s, spectrum), rtol=1e-6, atol=1e-9)
        assert (spectrum.values[:, 0] >= lowest - 1e-12).all()  # never below what there is
        errors.append(float((spectrum.values[:, 0] - lowest).max()))
    assert float(spectra(stats, max_products=2)["conv"].residuals.max()) > 0.1
    assert errors == sorted(errors, reverse=True)


def test_it_stops_where_it_is_good_enough() -> None:
    stats = statistics(case("Squeeze"))
    coarse, fine = (spectra(stats, tol=tol)["conv"] for tol in (0.1, 1e-8))
    assert coarse.products < fine.products <= stats.coordinates("conv").count
    assert float(coarse.residuals.max()) <= 0.1
    assert float(fine.residuals.max()) <= 1e-8
    assert spectra(stats, ends="lowest", tol=0.01)["conv"].products <= spectra(stats, tol=0.01)["conv"].products


def run(s: Tensor, ends: Ends = "both", tol: float = 1e-10, most: int = 100) -> Lanczos:
    lanczos = Lanczos(torch.empty(s.shape[:2], dtype=s.dtype), ends, tol, most)
    while not lanczos.done:
        lanczos.take(torch.einsum("mde,me->md", s, lanczos.newest))
    return lanczos


def test_lanczos_in_spaces_that_end_early() -> None:
    """Zero, a multiple of one, rank one, and something ordinary, all in lock-step."""
    torch.manual_seed(0)
    one = torch.randn(12, dtype=torch.float64)
    full = torch.randn(12, 12, dtype=torch.float64)
    s = torch.stack(
        [
            torch.zeros(12, 12, dtype=torch.float64),
            3 * torch.eye(12, dtype=torch.float64),
            -torch.outer(one, one),
            full + full.T,
        ]
    )
    values, vectors, residuals = run(s).pairs()
    expected = torch.linalg.eigvalsh(s)
    torch.testing.assert_close(values[:, 0], expected[:, 0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(values[[0, 1, 3], 1], expected[[0, 1, 3], -1], rtol=1e-9, atol=1e-12)
    assert float(residuals.max()) < 1e-9
    off = torch.einsum("mde,mre->mrd", s, vectors) - values[:, :, None] * vectors
    assert float(off.norm(dim=2).max()) < 1e-8


def test_a_matrix_of_one_number() -> None:
    values, vectors, _ = run(torch.tensor([[[-2.0]]], dtype=torch.float64)).pairs()
    assert values.tolist() == [[-2, -2]]
    assert vectors.abs().tolist() == [[[1], [1]]]


def test_the_cheaper_route_is_taken() -> None:
    stats = statistics(case("VitMlp"))
    assert cheapest(stats, "up") == "explicit"  # 5 coordinates
    assert spectra(stats)["up"].route == "explicit"
    assert cheapest(statistics(case("SwiGlu")), "gate") == "products"  # there are no explicit ones
    few, many = costs(1000, 64, 9), costs(1000, 64, 2000)
    assert few[0] < few[1] and many[0] > many[1]


def test_products_are_linear() -> None:
    stats = statistics(case("SwiGlu"))
    torch.manual_seed(0)
    v, w = torch.randn(2, 5, stats.coordinates("gate").count, dtype=torch.float64)
    both, one, other = (multiply(stats, {"gate": each})["gate"] for each in (2 * v - w, v, w))
    torch.testing.assert_close(both, 2 * one - other)


REFUSALS: list[tuple[str, dict[str, Any]]] = [
    ("axis 'head' was not measured: it is an output of the model", {"axes": ["head"]}),
    ("axis 'nix' was not measured: it is not there", {"axes": ["nix"]}),
    ("matrices of 'gate' cannot be made; take their products", {"route": "explicit"}),
    ("route must be one of None, 'explicit', 'products', not 'fast'", {"route": "fast"}),
    ("ends must be one of 'lowest', 'both', not 'highest'", {"ends": "highest"}),
    ("max_products must be above 0, not 0", {"max_products": 0}),
]


@pytest.mark.parametrize(("sentence", "options"), REFUSALS)
def test_what_makes_no_sense_is_refused(sentence: str, options: dict[str, Any]) -> None:
    stats = statistics(case("SwiGlu"))
    stats.reasons["head"] = "it is an output of the model"  # type: ignore[index]
    with pytest.raises(ArgumentError, match=sentence):
        spectra(stats, **options)


def test_a_product_that_is_not_finite_is_refused() -> None:
    stats = statistics(case("SwiGlu"))
    (batch, *_) = stats.samples()
    batch["gate"].inputs[0].fill_(torch.inf)
    with pytest.raises(MeasureError, match="splitting matrices of 'gate' is not finite"):
        spectra(stats)


@pytest.mark.parametrize("ends", ["lowest", "both"])
@pytest.mark.parametrize("name", ["Strided", "SwiGlu"])
def test_few_bytes_take_more_products_to_the_same_ends(name: str, ends: str) -> None:
    stats = statistics(case(name))
    options: dict[str, Any] = {"ends": ends, "route": "products", "tol": 1e-5, "max_products": 3000}
    whole = spectra(stats, **options)
    tight = spectra(stats, max_bytes=1, **options)
    columns = [0] if ends == "lowest" else [0, 1]
    for axis, found in tight.items():
        assert bool((found.residuals[:, columns] <= 1e-5).all())
        if stats.coordinates(axis).count > 5:
            assert found.products > whole[axis].products
        torch.testing.assert_close(found.values[:, columns], whole[axis].values[:, columns], rtol=1e-6, atol=1e-9)
