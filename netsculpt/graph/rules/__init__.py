"""One short function per operation, by kind; importing this package fills the table in ``graph.registry``."""

from netsculpt.graph.rules import (
    attention,
    contraction,
    convolution,
    creation,
    einsum,
    elementwise,
    indexing,
    joining,
    norms,
    recurrent,
    reductions,
    reshaping,
    similarity,
    spatial,
)

__all__ = [
    "attention",
    "contraction",
    "convolution",
    "creation",
    "einsum",
    "elementwise",
    "indexing",
    "joining",
    "norms",
    "recurrent",
    "reductions",
    "reshaping",
    "similarity",
    "spatial",
]
