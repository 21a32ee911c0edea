"""S1: splitting a unit by ± ε v changes the loss by ½ ε² vᵀSv, and the rest falls with the fourth power of ε."""

import pytest
import torch

from netsculpt.methods.splitting.spectra import multiply
from tests.measure.measured import Splitting, directions, halves, statistics
from tests.measure.networks import NAMES, case

EPS = 0.04
ROUNDING = 1e-13  # of two losses near 1 and their difference, in float64, with room


def assert_fourth_order(predicted: float, coarse: float, fine: float) -> None:
    """Args: ½ vᵀSv, and the changes of the loss at EPS and EPS / 2."""
    rests = [change - predicted * eps**2 for change, eps in ((coarse, EPS), (fine, EPS / 2))]
    assert abs(rests[0]) < 5 * EPS**4
    assert abs(rests[0] - 16 * rests[1]) < 0.4 * abs(rests[0]) + 32 * ROUNDING  # a ratio of 11 to 27 ...
    if abs(rests[0]) > 1e3 * ROUNDING:
        assert 10 < rests[0] / rests[1] < 24  # ... or closer


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_changes_as_the_matrix_says(name: str) -> None:
    subject = case(name)
    stats, splitting = statistics(subject), Splitting(subject)
    for axis, unit in stats.units.items():
        v = directions(stats, axis)
        predicted = (v * multiply(stats, {axis: v})[axis]).sum(1) / 2
        assert float(predicted.abs().max()) > 1e-6  # the test would say nothing of a straight line
        for k in {0, unit.size - 1}:
            coarse, fine = (splitting.change([halves(stats, axis, k, eps * v[k])]) for eps in (EPS, EPS / 2))
            assert_fourth_order(float(predicted[k]), coarse, fine)


@pytest.mark.parametrize("name", ["Depthwise", "Stream", "Squeeze", "Fused", "Gpt2", "Twice", "Attention"])
def test_running_the_units_says_the_same(name: str) -> None:
    stats = statistics(case(name))
    for axis in stats.units:
        v = directions(stats, axis)
        quadratic = (v * multiply(stats, {axis: v})[axis]).sum(1)
        rests = []
        for eps in (EPS, EPS / 2):
            there, back = (stats.changes({axis: sign * eps * v})[axis] for sign in (1, -1))
            rests.append(there + back - eps**2 * quadratic)
        assert float((rests[0] - 16 * rests[1]).abs().max()) < 0.2 * float(rests[0].abs().max()) + 32 * ROUNDING


@pytest.mark.parametrize("name", ["Strided", "Depthwise", "VitMlp", "SwiGlu", "Stream"])
def test_units_of_all_layers_together_add_up(name: str) -> None:
    """S3, consumers that split too among them: the changes add up, to the fourth power again."""
    subject = case(name)
    stats, splitting = statistics(subject), Splitting(subject)
    picked = [(axis, k) for axis, unit in stats.units.items() for k in (0, unit.size - 1)]
    assert len(picked) > len(stats.units)
    v = {axis: directions(stats, axis, seed=1) for axis in stats.units}
    s = multiply(stats, v)
    predicted = sum(float(v[axis][k] @ s[axis][k]) / 2 for axis, k in picked)
    coarse, fine = (
        splitting.change(halves(stats, axis, k, eps * v[axis][k]) for axis, k in picked) for eps in (EPS, EPS / 2)
    )
    assert_fourth_order(predicted, coarse, fine)


def test_together_is_the_sum_of_alone_where_a_consumer_splits_too() -> None:
    subject = case("Strided")
    stats, splitting = statistics(subject), Splitting(subject)
    assert list(stats.units) == ["a", "b"]  # b takes what a makes
    apart = []
    for eps in (EPS, EPS / 2):
        splits = [halves(stats, axis, 0, eps * directions(stats, axis)[0]) for axis in stats.units]
        apart.append(splitting.change(splits) - sum(splitting.change([each]) for each in splits))
    assert apart[0] != 0
    assert abs(apart[0] / EPS**4) < 1
    assert 10 < apart[0] / apart[1] < 24


def test_a_matrix_is_symmetric_and_a_units_own() -> None:
    for name in ("Stream", "Shifted", "Attention", "Squeeze"):
        stats = statistics(case(name))
        for axis in stats.units:
            v, w = directions(stats, axis, 1), directions(stats, axis, 2)
            sv, sw = multiply(stats, {axis: v})[axis], multiply(stats, {axis: w})[axis]
            torch.testing.assert_close((w * sv).sum(1), (v * sw).sum(1))
            alone = torch.zeros_like(v)
            alone[0] = v[0]
            product = multiply(stats, {axis: alone})[axis]
            torch.testing.assert_close(product[0], sv[0])
            assert float(product[1:].abs().max()) < 1e-14
