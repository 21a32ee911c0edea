"""greedy_select: the simplex modes read one row of the Gram matrix in each step, least squares all of its factor."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.case import Case, Run
from netsculpt import ops

N, STEPS = 2048, 512


def cases(device: str) -> list[Case]:
    modes = ("uniform", "line_search", "least_squares")
    large = [_case(mode, dtype, device) for dtype in (torch.float32, torch.float64) for mode in modes]
    return [*large, *(_batch_case(mode, device) for mode in modes)]


def relu_gram(units: int, points: int, dtype: torch.dtype, device: str, batch: tuple[int, ...] = ()) -> Tensor:
    """Contributions of ReLU units that see the same inputs: correlated, as in a layer."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(*batch, points, 64, generator=generator)
    w = torch.randn(*batch, 64, units, generator=generator) / 8
    shift, out = torch.randn(2, units, generator=generator)
    c = (torch.relu(x @ w + 0.1 * shift) * out).to(device, torch.float64)
    return ((c.mT @ c) / points).to(dtype)


def _case(mode: Any, dtype: torch.dtype, device: str) -> Case:
    gram = relu_gram(N, 2 * N, dtype, device)
    alternatives: dict[str, Run] = {}
    if mode == "least_squares":
        if device == "cpu" and (omp := _sklearn_omp(gram)) is not None:
            alternatives["sklearn"] = partial(omp, STEPS)
    else:
        alternatives["eager"] = partial(LOOPS[mode], gram, STEPS)

    def check() -> None:
        got = ops.greedy_select(gram, STEPS, mode=mode)
        if mode == "least_squares":
            _check_least_squares(gram, got.errors)
        else:
            expected = LOOPS[mode](gram, STEPS)
            torch.testing.assert_close(got.errors, expected, rtol=1e-6, atol=1e-12 * float(gram.sum()))

    flops = N * STEPS**2 if mode == "least_squares" else 12 * N * STEPS
    return Case(
        op="greedy_select",
        name=f"{mode} N={N} k={STEPS} {str(dtype).removeprefix('torch.')}",
        run=lambda: ops.greedy_select(gram, STEPS, mode=mode),
        check=check,
        bytes=gram.element_size() * (N * N + N * STEPS),
        flops=flops,
        alternatives=alternatives,
        target="2x sklearn" if mode == "least_squares" else "15x eager",
    )


def _batch_case(mode: Any, device: str, batch: int = 64, units: int = 256, steps: int = 64) -> Case:
    gram = relu_gram(units, 2 * units, torch.float32, device, (batch,))

    def check() -> None:
        together = ops.greedy_select(gram, steps, mode=mode)
        for b in (0, batch - 1):
            alone = ops.greedy_select(gram[b], steps, mode=mode)
            torch.testing.assert_close(together.errors[b], alone.errors, rtol=1e-6, atol=0)

    return Case(
        op="greedy_select",
        name=f"{mode} B={batch} N={units} k={steps} float32",
        run=lambda: ops.greedy_select(gram, steps, mode=mode),
        check=check,
        bytes=batch * 4 * (units * units + units * steps),
        flops=batch * (units * steps**2 if mode == "least_squares" else 12 * units * steps),
        alternatives={"one by one": lambda: [ops.greedy_select(g, steps, mode=mode) for g in gram]},
    )


def _sklearn_omp(gram: Tensor) -> Callable[[int], list[int]] | None:
    """Orthogonal matching pursuit with no copies: it permutes its own Gram matrix and target, both alike."""
    try:
        from sklearn.linear_model import orthogonal_mp_gram
    except ImportError:
        return None
    own, target = gram.clone().numpy().T, gram.sum(1).numpy()

    def run(steps: int) -> list[int]:
        w = orthogonal_mp_gram(own, target, n_nonzero_coefs=steps, copy_Gram=False, copy_Xy=False)
        return w.nonzero()[0].tolist()

    return run


def _check_least_squares(gram: Tensor, errors: Tensor) -> None:
    """Errors are those of the best weights, and no higher than orthogonal matching pursuit's."""
    k64 = gram.double()
    t = k64.sum(1)
    for steps in (1, 4, 16, 64, 256, STEPS):
        chosen = ops.greedy_select(gram, steps, mode="least_squares").order
        ours = _least_error(k64, t, chosen)
        assert abs(ours - float(errors[steps - 1])) <= 1e-6 * float(t.sum())
        if gram.device.type == "cpu" and (omp := _sklearn_omp(gram)) is not None:
            theirs = _least_error(k64, t, torch.tensor(omp(steps)))
            assert ours <= theirs * (1 + 1e-9), f"error {ours} after {steps} units, where sklearn has {theirs}"


def _least_error(gram: Tensor, target: Tensor, chosen: Tensor) -> float:
    w = torch.linalg.solve(gram[chosen][:, chosen], target[chosen])
    return float(target.sum() - w @ target[chosen])


def uniform_loop(gram: Tensor, steps: int) -> Tensor:
    n, t, d = len(gram), gram.sum(1, dtype=torch.float64), gram.diagonal().double()
    ka, kaa, ta, errors = torch.zeros_like(t), 0.0, 0.0, []
    for m in range(1, steps + 1):
        g = 1 / m
        kaa_all = (1 - g) ** 2 * kaa + 2 * g * (1 - g) * ka + g * g * d
        error = n * n * kaa_all - 2 * n * ((1 - g) * ta + g * t)
        i = int(error.argmin())
        errors.append(float(error[i]))
        kaa, ta = float(kaa_all[i]), (1 - g) * ta + g * float(t[i])
        ka = (1 - g) * ka + g * gram[i]
    return torch.tensor(errors, dtype=torch.float64, device=gram.device) + t.sum()


def line_search_loop(gram: Tensor, steps: int) -> Tensor:
    n, t, d = len(gram), gram.sum(1, dtype=torch.float64), gram.diagonal().double()
    i, g = int((n * d - 2 * t).argmin()), 1.0
    a, ka, kaa, ta, errors = torch.zeros_like(t), torch.zeros_like(t), 0.0, 0.0, []
    for _ in range(steps):
        kaa, ta = (
            (1 - g) ** 2 * kaa + 2 * g * (1 - g) * float(ka[i]) + g * g * float(d[i]),
            (1 - g) * ta + g * float(t[i]),
        )
        errors.append(n * n * kaa - 2 * n * ta)
        ka, a = (1 - g) * ka + g * gram[i], (1 - g) * a
        a[i] += g
        num, den = n * (t - ta) + n * n * (kaa - ka), n * n * (d - 2 * ka + kaa)
        gamma = torch.where(den > 0, num / den, 0.0).clamp(max=1.0).maximum(-a / (1 - a))
        i = int((gamma * (2 * num - gamma * den)).argmax())
        g = float(gamma[i])
    return torch.tensor(errors, dtype=torch.float64, device=gram.device) + t.sum()


LOOPS = {"uniform": uniform_loop, "line_search": line_search_loop}
