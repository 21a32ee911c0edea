"""Inputs of weighted_gram and weighted_normal: rows, weights and vectors of any size, dtype and layout."""

import torch
from hypothesis import strategies as st

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]

sizes = st.fixed_dictionaries(
    {
        "n": st.sampled_from([0, 1, 2, 7, 127, 128, 129, 300]),
        "g": st.sampled_from([0, 1, 2, 3, 17]),  # 0: no group dimension
        "d": st.sampled_from([0, 1, 2, 3, 9, 15, 16, 17, 27, 49, 70]),
        "m": st.sampled_from([0, 1, 2, 5, 8, 13, 33, 64, 130]),
    }
)
layouts = st.sampled_from(["dense", "transposed", "padded", "expanded"])
dtypes = st.sampled_from(DTYPES)


def draw(
    shape: list[int], dtype: torch.dtype, layout: str = "dense", device: str = "cpu", seed: int = 0
) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    if layout == "expanded":  # one row for all
        return torch.randn([1, *shape[1:]], generator=generator).to(device, dtype).expand(shape)
    t = torch.randn(shape, generator=generator).to(device, dtype)
    if layout == "transposed":
        return t.mT.contiguous().mT
    if layout == "padded":
        wide = torch.zeros([*shape[:-1], shape[-1] + 3], dtype=dtype, device=device)
        wide[..., 1 : shape[-1] + 1] = t
        return wide[..., 1 : shape[-1] + 1]
    return t


def rows(n: int, g: int, columns: int) -> list[int]:
    return [n, g, columns] if g else [n, columns]


def vectors(g: int, m: int, d: int) -> list[int]:
    return [g, m, d] if g else [m, d]


def sum_error(n: int, dtype: torch.dtype) -> float:
    """Relative to the sum of absolute terms: blocks of at most 128 rows, and as many sums of blocks, each rounded."""
    return (min(n, 128) + n / 128 + 4) * torch.finfo(dtype).eps
