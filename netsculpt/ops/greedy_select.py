from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from netsculpt.ops._register import register, require, require_value, shape

Mode = Literal["uniform", "line_search", "least_squares"]


class Selection(NamedTuple):
    """What ``greedy_select`` returns; without the batch dimension where gram had none."""

    order: Tensor  # [B, k] int64
    weights: Tensor  # [B, N]
    errors: Tensor  # [B, k] float64


def greedy_select(
    gram: Tensor,
    k: int,
    target: Tensor | None = None,
    target_energy: Tensor | None = None,
    lengths: Tensor | None = None,
    cost: Tensor | None = None,
    mode: Mode = "uniform",
    repeats: bool | None = None,
    ridge: float = 0.0,
    tolerance: float = 0.0,
) -> Selection:
    """Choose units one after another so that few of them, reweighted, replace the sum of all.

    A layer whose N units contribute ``c_i`` to the next pre-activation is matched by ``Y ≈ Σ w_i c_i`` with few
    ``w_i ≠ 0``. All that decides is inner products, so the choice is made on the Gram matrix, exactly, for every
    candidate in every step: each step takes the unit that lowers the objective ``‖Y - Σ w_i c_i‖²`` most (mode
    "line_search" and "least_squares": most of all admissible weights), the lowest index among equals.

    Args:
        gram: [B, N, N] or [N, N], float32 or float64, symmetric: ``gram[i, j] = <c_i, c_j>``. B problems at once.
        k: steps, ≥ 0; more than N is useful only with ``repeats``.
        target: [B, N] float, ``<c_i, Y>``; by default ``Y = Σ c_i``. As for all arguments: [N] where gram is [N, N].
        target_energy: [B] float, ``‖Y‖²``; given if and only if ``target`` is.
        lengths: [B] int64 in [0, N]: problem b has only its first ``lengths[b]`` units, and the N of the formulas
            is that number; by default all have N.
        cost: [B, N] float, > 0: choose by gain per cost. A gain < 0, which a fixed step can have, is multiplied by it.
        mode: "uniform": fixed step 1/m in step m, so the weights count how often a unit was chosen. "line_search":
            the best step towards one unit, or away from it down to no weight; the first step takes one unit
            whole. "least_squares": the best weights of all chosen units after every step (orthogonal least squares).
        repeats: whether a unit may be chosen again; by default yes, except that least_squares never does.
        ridge: ≥ 0, least_squares only: the objective is ``‖Y - Σ w_i c_i‖² + ridge ‖w‖²``.
        tolerance: stop after the step that brings the objective to ``tolerance * ‖Y‖²`` or below; 0 for never.

    Returns:
        order: [B, k] int64, the unit chosen in each step, -1 after a stop. Apart from the tolerance, a problem stops
            where no unit is left to choose; line_search where no step lowers the objective in float64;
            least_squares where every unit left depends on the chosen ones as far as gram's dtype can tell: what
            they leave of its ``gram[j, j] + ridge`` is at most 64 eps times ``s_j``. ``s_j`` starts as the whole,
            and grows by ``l² s_i`` when the multiple ``l`` of what was left of a chosen unit i is taken from it.
        weights: [B, N], gram's dtype: multiplier ``w_i`` of each contribution after the last step taken, 0 for
            units not in use (line_search and uniform: N times a point of the simplex).
        errors: [B, k] float64, the objective after each step, in gram's units; not below 0. After a stop the last
            value is repeated: ``‖Y‖²`` where nothing was chosen.

    Raises:
        ShapeError: an argument has the wrong shape, dtype or device.
        ArgumentError: a value is out of range, or arguments contradict each other.
        RuntimeError: a value of one problem cannot be worked with; the sentence names the problem.

    Source: M. Ye et al., "Good Subnetworks Provably Exist" (2020), fixed step; M. Ye, L. Wu, Q. Liu, "Greedy
    Optimization Provably Wins the Lottery" (2020), line search; S. Chen, S. Billings, W. Luo, "Orthogonal least
    squares methods" (1989). The Gram form is derived here.
    """
    require(gram.dim() in (2, 3) and gram.shape[-1] == gram.shape[-2], f"gram must be [B, N, N], not {shape(gram)}")
    require(gram.dtype in (torch.float32, torch.float64), f"gram must be float32 or float64, not {gram.dtype}")
    require_value(mode in get_args(Mode), f"mode must be one of {', '.join(get_args(Mode))}, not {mode!r}")
    require_value(k >= 0, f"k must be at least 0, not {k}")
    require_value(ridge >= 0 and tolerance >= 0, f"ridge and tolerance must be at least 0, not {ridge} and {tolerance}")
    require_value(ridge == 0 or mode == "least_squares", f"ridge is for mode least_squares, not {mode}")
    require_value(not (repeats and mode == "least_squares"), "repeats must be False or None with mode least_squares")
    require_value((target is None) == (target_energy is None), "target and target_energy must be given together")
    batch, per_unit = gram.shape[:-2], gram.shape[:-1]
    _check(gram, "target", target, per_unit)
    _check(gram, "target_energy", target_energy, batch)
    _check(gram, "cost", cost, per_unit)
    if lengths is not None:
        require(lengths.dtype == torch.int64, f"lengths must be int64, not {lengths.dtype}")
        require(lengths.shape == batch, f"lengths must be {list(batch)}, not {shape(lengths)}")
        require(lengths.device == gram.device, f"lengths must be on gram's device {gram.device}, not {lengths.device}")
    again = mode != "least_squares" if repeats is None else repeats
    single = gram.dim() == 2
    tensors = [t if t is None or not single else t[None] for t in (gram, target, target_energy, lengths, cost)]
    chosen = torch.ops.netsculpt.greedy_select(*tensors, k, mode, again, float(ridge), float(tolerance))
    return Selection(*(t[0] for t in chosen)) if single else Selection(*chosen)


def _check(gram: Tensor, name: str, t: Tensor | None, sizes: torch.Size) -> None:
    if t is None:
        return
    require(t.dtype in (torch.float32, torch.float64), f"{name} must be float32 or float64, not {t.dtype}")
    require(t.shape == sizes, f"{name} must be {list(sizes)}, not {shape(t)}")
    require(t.device == gram.device, f"{name} must be on gram's device {gram.device}, not {t.device}")


def _fake(
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
    batch, units = gram.shape[:2]
    order = gram.new_empty(batch, k, dtype=torch.int64)
    return order, gram.new_empty(batch, units), gram.new_empty(batch, k, dtype=torch.float64)


register("greedy_select", _fake)
