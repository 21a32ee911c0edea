"""Lanczos with full re-orthogonalisation for all units of an axis in lock-step."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from netsculpt import ops

CHECK_EVERY = 2  # steps between two looks at the residuals, which cost a tridiagonal eigenproblem per unit


class Lanczos:
    """The extreme eigenpairs of m symmetric matrices by products with one vector each.

    Attributes:
        steps: products taken so far.
        done: whether the ends have converged, or no more products are to be taken.

    Args:
        like: [m, d]: shape, dtype and device of the vectors.
        ends: which ends must converge.
        tol: largest residual relative to the larger |λ|.
        most: as many products at most.
        vectors: as many of the products' vectors are kept of each matrix, at least 4; when they are full, all begin
            anew from what they have come to, which takes more products.
    """

    def __init__(
        self, like: Tensor, ends: Literal["lowest", "both"], tol: float, most: int, vectors: int | None = None
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        start = torch.randn(like.shape, generator=generator, dtype=torch.float64)
        start = (start / start.norm(dim=1, keepdim=True)).to(like)
        whole = min(most, like.shape[1])
        self._full = whole if vectors is None else min(whole, max(4, vectors))
        self._most = whole if self._full == whole else most
        self._basis = torch.empty(like.shape[0], self._full + 1, like.shape[1], dtype=like.dtype, device=like.device)
        self.steps = 0
        self._begin(start)
        self._ends = [0] if ends == "lowest" else [0, 1]
        self._tol = tol
        self.done = False

    @property
    def newest(self) -> Tensor:
        """[m, d] the vectors whose products come next."""
        return self._basis[:, len(self._alphas)]

    def take(self, product: Tensor) -> None:
        """The products with ``newest``: one more step."""
        size = len(self._alphas)
        step = ops.lanczos_update(self._basis[:, : size + 1], product.to(self._basis.dtype).contiguous())
        ended = self._betas[-1] == 0 if self._betas else torch.zeros_like(step.beta, dtype=torch.bool)
        self._alphas.append(torch.where(ended, self._alphas[0], step.alpha) if self._alphas else step.alpha)
        self._betas.append(step.beta)
        self._basis[:, size + 1] = step.next
        self.steps += 1
        last, full = self.steps == self._most, size + 1 == self._full
        if last or full or self.steps % CHECK_EVERY == 0:
            residuals = self._ritz()[2][:, self._ends]
            self.done = last or bool((residuals <= self._tol).all())
        if full and not self.done:
            self._begin(self.pairs()[1][:, self._ends].sum(1))

    def _begin(self, start: Tensor) -> None:
        self._basis[:, 0] = start / start.norm(dim=1, keepdim=True).clamp(min=torch.finfo(start.dtype).tiny)
        self._alphas: list[Tensor] = []
        self._betas: list[Tensor] = []

    def pairs(self) -> tuple[Tensor, Tensor, Tensor]:
        """Values [m, 2], vectors [m, 2, d], residuals [m, 2]."""
        values, small, residuals = self._ritz()
        vectors = small @ self._basis[:, : len(self._alphas)]
        norms = vectors.norm(dim=2, keepdim=True)
        return values, vectors / norms.clamp(min=torch.finfo(norms.dtype).tiny), residuals

    def _ritz(self) -> tuple[Tensor, Tensor, Tensor]:
        alpha, beta = torch.stack(self._alphas, 1), torch.stack(self._betas, 1)
        pairs = ops.tridiagonal_extreme(alpha, beta[:, :-1].contiguous())
        scale = pairs.values.abs().amax(1, keepdim=True)
        residuals = beta[:, -1:] * pairs.vectors[:, :, -1].abs() / scale.clamp(min=torch.finfo(beta.dtype).tiny)
        return pairs.values, pairs.vectors, residuals
