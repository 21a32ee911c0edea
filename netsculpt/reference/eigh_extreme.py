import torch
from torch import Tensor

ENDS = {"lowest": [0], "highest": [-1], "both": [0, -1]}


def eigh_extreme(s: Tensor, which: str, tol: float) -> tuple[Tensor, Tensor, Tensor]:
    matrices = s.double().tril() + s.double().tril(-1).mT
    bad = ~matrices.isfinite().flatten(1).all(1)
    if bad.any():
        raise RuntimeError(f"eigh_extreme: matrix {int(bad.nonzero()[0])} has an entry that is NaN or infinite")
    values, vectors = torch.linalg.eigh(matrices)
    norm = values.abs().amax(1, keepdim=True)
    values, vectors = values[:, ENDS[which]], vectors[:, :, ENDS[which]].mT.to(s.dtype).contiguous()
    rest = vectors.double() @ matrices - values[:, :, None] * vectors.double()
    residuals = rest.norm(dim=2) / torch.where(norm > 0, norm, 1)
    return values.to(s.dtype), vectors, residuals.to(s.dtype)
