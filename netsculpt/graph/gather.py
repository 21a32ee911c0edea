"""Which entries of an old tensor make up a new one: what the graph says to an edit."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from netsculpt.errors import ShapeError

PIECE = 1 << 18  # entries that are moved at a time: a megabyte of float32


@dataclass(frozen=True, eq=False)
class Gather:
    """A change of a tensor's sizes: for each dim, the old entry that every new entry is taken from.

    ``new[i, j, …] = old[index[0][i], index[1][j], …] · scale[0][i] · scale[1][j] · …``. A dim without an index stays
    as it is, so ``Gather({})`` is a copy.

    Attributes:
        index: dim → int64 [new size], each in 0 … old size - 1, or -1 for an entry that is new.
        scale: dim → float64 [new size], factors of the entries; a dim without them has ones. May name a dim without
            an index.

    Raises:
        ShapeError: an index is not a one-dimensional int64 tensor, or a scale's size is not its index's.
    """

    index: Mapping[int, Tensor]
    scale: Mapping[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for dim, index in self.index.items():
            if index.dim() != 1 or index.dtype != torch.int64:
                raise ShapeError(f"index[{dim}] must be int64 [new size], not {index.dtype} {list(index.shape)}")
        for dim, scale in self.scale.items():
            size = self.index[dim].shape if dim in self.index else scale.shape
            if scale.dim() != 1 or scale.shape != size:
                raise ShapeError(f"scale[{dim}] must have its index's shape {list(size)}, not {list(scale.shape)}")

    def gather(self, tensor: Tensor, fill: float = 0.0, scaled: bool = True) -> Tensor:
        """The new tensor; ``tensor`` and autograd know nothing of it.

        The factors of all dims are multiplied in float64 and rounded once, so powers of two are exact.

        Args:
            tensor: any shape, dtype, device and memory format; sparse COO too.
            fill: what new entries (index -1) hold; factors do not touch it.
            scaled: whether to apply the factors. Integer and boolean tensors never are.

        Returns:
            A tensor of its own memory with ``tensor``'s dtype, device and order of dims in memory.

        Raises:
            ShapeError: ``tensor`` lacks a dim that is named here, or entries that are asked for.
        """
        tensor = tensor.detach()
        if tensor.is_sparse:
            return self.gather(tensor.to_dense(), fill, scaled).to_sparse(tensor.sparse_dim())
        self._check(tensor)
        # Dims in the order that they have in memory: index_select then writes straight into the format of the old.
        order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
        moving = [dim for dim in self.index if not self.is_identity(dim, tensor.shape[dim])]
        new = _select(
            tensor.permute(order),
            {order.index(dim): self.index[dim].clamp(min=0).to(tensor.device) for dim in moving},
        )
        if scaled and self.scale and (tensor.is_floating_point() or tensor.is_complex()):
            new = self._scaled(new, order)
        new = new.clone() if new._is_view() else new
        for dim, index in self.index.items():
            fresh = (index < 0).nonzero()[:, 0].to(tensor.device)
            if len(fresh):
                new.index_fill_(order.index(dim), fresh, fill)
        return new.permute([order.index(dim) for dim in range(tensor.dim())])

    def is_identity(self, dim: int, size: int) -> bool:
        """Whether a dim of this size keeps all its entries in their order (factors apart)."""
        index = self.index.get(dim)
        return index is None or torch.equal(index, torch.arange(size, device=index.device))

    def _scaled(self, new: Tensor, order: list[int]) -> Tensor:
        product = new
        for dim, scale in self.scale.items():
            shape = [-1 if place == order.index(dim) else 1 for place in range(new.dim())]
            product = product * scale.to(new.device, torch.float64).reshape(shape)
        return product.to(new.dtype)

    def _check(self, tensor: Tensor) -> None:
        for dim in {*self.index, *self.scale}:
            if not 0 <= dim < tensor.dim():
                raise ShapeError(f"a gather of dim {dim} needs a tensor with that dim, not {list(tensor.shape)}")
        for dim, index in self.index.items():
            size = tensor.shape[dim]
            if len(index) and not -1 <= int(index.min()) <= int(index.max()) < size:
                raise ShapeError(
                    f"index[{dim}] must lie in -1 … {size - 1}, not {int(index.min())} … {int(index.max())}"
                )
        for dim in self.scale.keys() - self.index.keys():
            if len(self.scale[dim]) != tensor.shape[dim]:
                raise ShapeError(f"scale[{dim}] must have size {tensor.shape[dim]}, not {len(self.scale[dim])}")


def _select(tensor: Tensor, entries: Mapping[int, Tensor]) -> Tensor:
    """The chosen entries of several dims, the dim that shrinks most first."""
    if len(entries) > 1 and 0 in entries and tensor.device.type == "cpu":
        return _select_in_pieces(tensor, entries)
    for place in sorted(entries, key=lambda place: len(entries[place]) / max(tensor.shape[place], 1)):
        tensor = tensor.index_select(place, entries[place])
    return tensor


def _select_in_pieces(tensor: Tensor, entries: Mapping[int, Tensor]) -> Tensor:
    """The same, a few of the outermost entries at a time.

    What stands between two dims then stays in the cache; as a whole, it would take longer to get the memory for it
    than to fill it.
    """
    new = tensor.new_empty([len(entries[place]) if place in entries else n for place, n in enumerate(tensor.shape)])
    *middle, last = sorted(place for place in entries if place)
    step = max(1, PIECE * len(tensor) // max(tensor.numel(), 1))
    for start in range(0, len(new), step):
        piece = tensor.index_select(0, entries[0][start : start + step])
        for place in middle:
            piece = piece.index_select(place, entries[place])
        torch.index_select(piece, last, entries[last], out=new[start : start + step])
    return new
