"""What every op promises beside its numbers. Subclass it, name the op, and give samples."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

from netsculpt.errors import BackwardError

# Autograd registrations are tested by test_backward_refuses: there is no gradient for opcheck to compare.
OPCHECKS = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")


class OpConformance:
    """``op`` is the wrapper, ``packet`` the torch op, ``samples`` a list of argument tuples of the torch op."""

    op: Callable[..., Any]
    packet: Any

    def samples(self, device: str) -> list[tuple[Any, ...]]:
        raise AssertionError("a subclass gives the samples")

    def call(self, args: tuple[Any, ...]) -> list[torch.Tensor]:
        return [t for t in pytree.tree_leaves(self.packet(*args)) if isinstance(t, torch.Tensor)]

    def test_opcheck(self, device: str) -> None:
        for args in self.samples(device):
            torch.library.opcheck(self.packet, args, test_utils=OPCHECKS)

    def test_compiles_without_graph_break(self, device: str) -> None:
        args = self.samples(device)[0]
        torch.compiler.reset()  # it counts what all ops compile through this line, and stops at eight
        compiled = torch.compile(lambda *a: self.packet(*a), fullgraph=True, backend="aot_eager")
        got = [t for t in pytree.tree_leaves(compiled(*args)) if isinstance(t, torch.Tensor)]
        for ours, expected in zip(got, self.call(args), strict=True):
            torch.testing.assert_close(ours, expected, rtol=0, atol=0, equal_nan=True)

    def test_same_bits_every_time(self, device: str) -> None:
        for args in self.samples(device):
            first, second = self.call(args), self.call(args)
            for a, b in zip(first, second, strict=True):
                torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)

    def test_backward_refuses(self, device: str) -> None:
        args = pytree.tree_map_only(
            torch.Tensor,
            lambda t: t.detach().clone().requires_grad_() if t.is_floating_point() else t,
            self.samples(device)[0],
        )
        floating = [t for t in self.call(args) if t.is_floating_point()]
        with pytest.raises(BackwardError, match="has no backward"):
            floating[0].sum().backward()

    def test_refuses_a_tensor_of_another_device(self, gpu: str) -> None:
        leaves, spec = pytree.tree_flatten(self.samples(gpu)[0])
        places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        for place in places if len(places) > 1 else []:
            mixed = [leaf.cpu() if i == place else leaf for i, leaf in enumerate(leaves)]
            with pytest.raises(RuntimeError, match="device"):
                self.packet(*pytree.tree_unflatten(mixed, spec))

    def test_docstring_is_complete(self) -> None:
        text = inspect.getdoc(type(self).op) or ""
        for part in ("Args:", "Returns:", "Raises:", "Source:"):
            assert part in text, f"{type(self).op.__name__} does not document {part}"
