"""Forward selection by trying every candidate in every step.

Letters: K gram, t target, n units, a simplex weights, J the objective.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

_INDEPENDENT = 64  # rounding the gram matrix to its dtype moves a diagonal entry by at most this many eps
_TIE = 1e-12  # values closer than this, relative to the energy at hand, are equal


@dataclass(frozen=True)
class _Problem:
    gram: Tensor  # [n, n], float64, as are all
    target: Tensor  # [n]
    energy: float
    cost: Tensor | None
    k: int
    repeats: bool
    ridge: float
    tolerance: float
    eps: float  # of the gram's own dtype

    def met(self, error: float) -> bool:
        return self.tolerance > 0 and error <= self.tolerance * self.energy

    def objective(self, w: Tensor) -> float:
        """``‖Y - Σ w_i c_i‖² + ridge ‖w‖²``, not below 0."""
        error = w @ self.gram @ w - 2 * w @ self.target + self.energy + self.ridge * w @ w
        return max(0.0, float(error))

    def choose(self, gain: Tensor, open_: Tensor) -> int | None:
        """The lowest index among the best candidates by gain per cost; None where all are closed."""
        if not bool(open_.any()):
            return None
        if self.cost is not None:
            gain = torch.where(gain >= 0, gain / self.cost, gain * self.cost)
        gain = torch.where(open_, gain, -torch.inf)
        slack = _TIE * max(self.energy, float(gain.abs()[open_].max()))
        return int((gain >= gain.max() - slack).nonzero()[0])


_Steps = tuple[list[int], list[float], Tensor]  # order, errors, weights


def greedy_select(
    gram: Tensor,
    target: Tensor | None,
    target_energy: Tensor | None,
    lengths: Tensor | None,
    cost: Tensor | None,
    k: int,
    mode: str,
    repeats: bool,
    ridge: float,
    tolerance: float,
) -> tuple[Tensor, Tensor, Tensor]:
    solve = {"uniform": _uniform, "line_search": _line_search, "least_squares": _least_squares}[mode]
    batch, units = gram.shape[:2]
    order = torch.full((batch, k), -1, dtype=torch.int64, device=gram.device)
    weights = gram.new_zeros(batch, units)
    errors = torch.zeros(batch, k, dtype=torch.float64, device=gram.device)
    for b in range(batch):
        n = units if lengths is None else int(lengths[b])
        if not 0 <= n <= units:
            raise RuntimeError(f"greedy_select: lengths must be between 0 and N in problem {b}")
        K = gram[b, :n, :n].double()
        t = K.sum(1) if target is None else target[b, :n].double()
        energy = float(t.sum() if target_energy is None else target_energy[b])
        c = None if cost is None else cost[b, :n].double()
        p = _Problem(K, t, energy, c, k, repeats, ridge, tolerance, torch.finfo(gram.dtype).eps)
        _check(p, b)
        chosen, after, w = solve(p)
        order[b, : len(chosen)] = torch.tensor(chosen, dtype=torch.int64)
        errors[b] = torch.tensor(after + [after[-1] if after else energy] * (k - len(after)), dtype=torch.float64)
        weights[b, :n] = w.to(gram.dtype)
    return order, weights, errors


def _check(p: _Problem, b: int) -> None:
    if not bool(p.gram.isfinite().all()):
        raise RuntimeError(f"greedy_select: gram has a NaN or an infinity in problem {b}")
    if not (bool(p.target.isfinite().all()) and abs(p.energy) < torch.inf):
        raise RuntimeError(f"greedy_select: target or target_energy has a NaN or an infinity in problem {b}")
    if p.cost is not None and not bool(((p.cost > 0) & p.cost.isfinite()).all()):
        raise RuntimeError(f"greedy_select: cost must be positive and finite in problem {b}")


def _uniform(p: _Problem) -> _Steps:
    """Each step tries every unit beside the multiset chosen so far, with equal weights."""
    n = len(p.target)
    count = torch.zeros(n, dtype=torch.float64, device=p.gram.device)
    order: list[int] = []
    errors: list[float] = []
    before = p.energy
    for m in range(1, p.k + 1):
        tries = [n * (count + e) / m for e in torch.eye(n, dtype=torch.float64, device=p.gram.device)]
        after = torch.tensor([p.objective(w) for w in tries], dtype=torch.float64, device=p.gram.device)
        i = p.choose(before - after, count == 0 if not p.repeats else count >= 0)
        if i is None:
            break
        count[i] += 1
        before = float(after[i])
        order.append(i)
        errors.append(before)
        if p.met(before):
            break
    return order, errors, n * count / max(1, len(order))


def _line_search(p: _Problem) -> _Steps:
    """Each step moves towards, or away from, the vertex that lowers the objective most."""
    n = len(p.target)
    a = torch.zeros(n, dtype=torch.float64, device=p.gram.device)
    closed = torch.zeros(n, dtype=torch.bool, device=p.gram.device)
    order: list[int] = []
    errors: list[float] = []
    before = p.energy
    for step in range(p.k):
        if step == 0:
            gamma, gain = torch.ones_like(a), p.energy - (n * n * p.gram.diagonal() - 2 * n * p.target + p.energy)
        else:
            gamma, gain = _best_moves(p, a)
        i = p.choose(gain, ~closed)
        if i is None:
            break
        g = float(gamma[i])
        vertex = torch.zeros_like(a)
        vertex[i] = 1
        moved = (1 - g) * a + g * vertex
        if g < 0 and g == float(-a[i] / (1 - a[i])):
            moved[i] = 0  # all of its weight was taken
        after = p.objective(n * moved)
        if step > 0 and not (float(gain[i]) > 0 and after < before):
            break
        a, before = moved.clamp(min=0), after
        closed[i] = not p.repeats
        order.append(i)
        errors.append(after)
        if p.met(after):
            break
    return order, errors, n * a


def _best_moves(p: _Problem, a: Tensor) -> tuple[Tensor, Tensor]:
    """For every unit the clipped step and the decrease of the objective."""
    n = len(p.target)
    Ka = p.gram @ a
    num = n * (p.target - a @ p.target) + n * n * (a @ Ka - Ka)
    den = n * n * (p.gram.diagonal() - 2 * Ka + a @ Ka)
    lowest = torch.where(a < 1, -a / (1 - a), -torch.inf)
    gamma = torch.where(den > 0, num / den, 0.0).clamp(max=1.0).maximum(lowest)
    return gamma, gamma * (2 * num - gamma * den)


def _least_squares(p: _Problem) -> _Steps:
    """Each step solves the normal equations afresh with every candidate added."""
    n = len(p.target)
    K = p.gram + p.ridge * torch.eye(n, dtype=torch.float64, device=p.gram.device)
    floor = _INDEPENDENT * p.eps * K.diagonal()  # a residual at or below it may be nothing but rounding
    order: list[int] = []
    errors: list[float] = []
    w = torch.zeros(n, dtype=torch.float64, device=p.gram.device)
    before = p.energy
    while len(order) < p.k:
        residual = _residual(K, order)
        open_ = residual.diagonal() > floor
        open_[order] = False
        after = torch.full_like(w, p.energy)
        for j in open_.nonzero().flatten().tolist():
            support = [*order, j]
            after[j] = p.energy - p.target[support] @ torch.linalg.solve(K[support][:, support], p.target[support])
        i = p.choose(before - after, open_)
        if i is None:
            break
        # What is left of unit j loses this multiple of unit i, and inherits its rounding with it.
        floor = floor + (residual[i] / residual[i, i]).square() * floor[i]
        order.append(i)
        before = max(0.0, float(after[i]))
        errors.append(before)
        if p.met(before):
            break
    if order:
        w[order] = torch.linalg.solve(K[order][:, order], p.target[order])
    return order, errors, w


def _residual(K: Tensor, order: list[int]) -> Tensor:
    """The gram matrix of what the chosen units leave of each."""
    if not order:
        return K
    return K - K[:, order] @ torch.linalg.solve(K[order][:, order], K[order])
