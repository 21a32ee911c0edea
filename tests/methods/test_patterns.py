"""S6: the table of signed splits, against a search of its own and against what such splits really do."""

from itertools import pairwise

import numpy as np
import pytest
import torch

import netsculpt as ns
from netsculpt.methods.splitting import Pattern, patterns, spectra
from tests.measure.measured import Splitting, statistics
from tests.measure.networks import case

SPECTRA = [(-1.0, 2.0), (-2.0, 0.5), (-1.0, -0.2), (0.3, 1.5)]
CS = [1.5, 3.0]


def best(s: np.ndarray, signs: tuple[int, ...], c: float, rng: np.random.Generator) -> float:
    """The least ½ Σ w δᵀSδ with Σ w = 1, Σ |w| ≤ c, |δ| ≤ 1, Σ w δ = 0, by many starts of SLSQP."""
    optimize = pytest.importorskip("scipy.optimize")
    m, d = len(signs), len(s)
    sign = np.array(signs, dtype=float)

    def offsets(z: np.ndarray) -> np.ndarray:
        return z[m:].reshape(m, d)

    constraints = [
        {"type": "eq", "fun": lambda z: (sign * z[:m]).sum() - 1},
        {"type": "ineq", "fun": lambda z: c - z[:m].sum()},
        {"type": "eq", "fun": lambda z: (sign * z[:m]) @ offsets(z)},
        {"type": "ineq", "fun": lambda z: 1 - (offsets(z) ** 2).sum(1)},
    ]
    bounds = [(0, None)] * m + [(-1, 1)] * (m * d)
    found = 0.0
    for _ in range(12):
        start = np.concatenate([rng.uniform(0, 1, m), rng.uniform(-0.7, 0.7, m * d)])
        result = optimize.minimize(
            lambda z: 0.5 * (sign * z[:m]) @ np.einsum("id,de,ie->i", offsets(z), s, offsets(z)),
            start,
            method="SLSQP",
            bounds=bounds,
            constraints=constraints,
            options={"maxiter": 200, "ftol": 1e-12},
        )
        feasible = all(
            np.all(np.abs(each["fun"](result.x)) < 1e-6 if each["type"] == "eq" else each["fun"](result.x) > -1e-6)
            for each in constraints
        )
        if feasible:
            found = min(found, float(result.fun))
    return found


KINDS = {2: [(1, 1), (1, -1)], 3: [(1, -1, -1), (1, 1, -1)], 4: [(1, 1, -1, -1)]}


@pytest.mark.parametrize("copies", KINDS)
@pytest.mark.parametrize("c", CS)
def test_no_search_finds_a_better_split(c: float, copies: int) -> None:
    """With at most so many copies: one of the search's may be idle."""
    for ends in SPECTRA:
        s, rng = np.diag([ends[0], sum(ends) / 2, ends[1]]), np.random.default_rng(0)
        searched = min(best(s, signs, c, rng) for kind in range(2, copies + 1) for signs in KINDS[kind])
        table = min((each.gain for each in patterns(*ends, c) if each.copies <= copies), default=0.0)
        assert table == pytest.approx(searched, abs=1e-4)


@pytest.mark.parametrize("c", [1.0, 1.2, 1.5, 3.0, 10.0])
@pytest.mark.parametrize("ends", SPECTRA)
def test_patterns_keep_the_mean_and_the_bounds(ends: tuple[float, float], c: float) -> None:
    found = patterns(*ends, c)
    assert len({each.copies for each in found}) == len(found)
    for pattern in found:
        weights, offsets = np.array(pattern.weights), np.array(pattern.offsets)
        assert weights.sum() == pytest.approx(1, abs=1e-12)
        assert np.abs(weights).sum() <= c + 1e-12
        assert weights @ offsets == pytest.approx([0, 0], abs=1e-12)
        assert np.linalg.norm(offsets, axis=1).max() <= 1 + 1e-12
        assert 0.5 * weights @ (offsets**2 @ np.array(ends)) == pytest.approx(pattern.gain, rel=1e-12)
        assert pattern.gain < 0


def test_positive_weights_need_a_negative_value() -> None:
    assert patterns(0.0, 2.0) == patterns(0.1, 2.0) == []
    (only,) = patterns(-0.5, 2.0)
    assert only == Pattern((0.5, 0.5), ((1, 0), (-1, 0)), -0.25)
    assert patterns(0.0, 0.0, 3.0) == []


def test_negative_weights_help_whenever_there_is_anything() -> None:
    assert next(each.copies for each in patterns(0.1, 2.0, 3.0)) == 2
    assert next(each.copies for each in patterns(-0.1, -0.01, 3.0)) == 2
    for ends in SPECTRA:
        gains = [each.gain for each in patterns(*ends, 3.0)]
        assert gains == sorted(gains, reverse=True)  # a dearer one must do more
        assert len(gains) == (3 if ends[0] < 0 < ends[1] else 2)


@pytest.mark.parametrize("c", CS)
@pytest.mark.parametrize("name", ["Strided", "SwiGlu"])
def test_signed_copies_change_the_loss_as_the_table_says(name: str, c: float) -> None:
    """± pairs leave a fourth power behind, the others a third and then a fourth."""
    subject = case(name)
    stats, splitting = statistics(subject), Splitting(subject)
    for axis, spectrum in spectra(stats).items():
        lowest, highest = spectrum.values[0].tolist()
        seen = set()
        for pattern in patterns(lowest, highest, c):
            seen.add(pattern.copies)
            rests = []
            for eps in (0.04, 0.02, 0.01):
                offsets = eps * torch.tensor(pattern.offsets, dtype=torch.float64) @ spectrum.vectors[0]
                split = ns.Split(axis, 0, pattern.weights, stats.coordinates(axis).offsets(0, offsets))
                rests.append(splitting.change([split]) / eps**2 - pattern.gain)
            symmetric = all((-x, -y) in pattern.offsets for x, y in pattern.offsets)
            if symmetric:
                assert 3 < rests[1] / rests[2] < 5
            assert abs(rests[2]) < 0.05 * abs(pattern.gain) + 1e-4
            squares = [2 * fine - coarse for coarse, fine in pairwise(rests)]  # without what falls by a half
            assert 2.5 < squares[0] / squares[1] < 6
        assert 2 in seen
