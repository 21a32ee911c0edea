"""Editing a model that several processes train."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from netsculpt.errors import ArgumentError, EditError

T = TypeVar("T")

_SETTINGS = ("dim", "process_group", "find_unused_parameters", "gradient_as_bucket_view", "static_graph")
_NEWER_SETTINGS = ("skip_all_reduce_unused_params", "batched_grad_copy")


def rewrap(ddp: DistributedDataParallel, edit: Callable[[nn.Module], T]) -> tuple[DistributedDataParallel, T]:
    """Edits a data-parallel model on every rank and wraps it anew; all ranks must call it together.

    The old wrapper reduces the gradients of the parameters that it was built with, so it must not be used again; its
    hooks are removed from parameters that stay. Ranks must make the same edit: all of them compare their parameters'
    values, and the names and shapes of everything, before they go on. Buffers keep what each rank has, as they would
    without an edit. Where this raises, an edit that was made on some rank is not taken back.

    Args:
        ddp: the wrapper. Its process group, devices, buckets and communication hooks are taken over; hooks on the
            wrapper itself are not.
        edit: gets the inner module and edits it, with this rank's optimizers and averages.

    Returns:
        The new wrapper, and what ``edit`` returned on this rank.

    Raises:
        EditError: the edit failed on a rank, the ranks end with different models, or the wrapper uses mixed precision
            or a delayed reduction, which change the module itself. On all ranks alike.
    """
    if not isinstance(ddp, DistributedDataParallel):
        raise ArgumentError(f"ddp must be a DistributedDataParallel, not {type(ddp).__name__}.")
    for setting in ("mixed_precision", "_delay_all_reduce_params"):
        if getattr(ddp, setting, None):
            raise EditError(f"DistributedDataParallel with {setting.strip('_')} changes the module; edit it unwrapped.")
    failure: Exception | None = None
    try:
        result = edit(ddp.module)
        outcome = digest(ddp.module)
    except Exception as error:  # the other ranks must hear of any failure, or they wait for ever
        failure, outcome = error, f"failed with {type(error).__name__}: {error}"
    outcomes: list[Any] = [None] * dist.get_world_size(ddp.process_group)
    dist.all_gather_object(outcomes, outcome, group=ddp.process_group)
    if any(other != outcomes[0] for other in outcomes) or failure is not None:
        raise EditError(f"edit must leave all ranks with the same model, but they have {_list(outcomes)}.") from failure
    ddp._remove_autograd_hooks()
    wrapped = DistributedDataParallel(ddp.module, init_sync=False, **_settings(ddp))
    wrapped.training = ddp.training
    for hook, state in ddp._comm_hooks:
        wrapped.register_comm_hook(state, hook)
    return wrapped, result


def digest(model: nn.Module) -> str:
    """A SHA-256 of the names, shapes and dtypes of all tensors and of the parameters' values."""
    total = hashlib.sha256()
    for name, tensor in (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)):
        total.update(f"{name} {list(tensor.shape)} {tensor.dtype}\n".encode())
        if isinstance(tensor, nn.Parameter):
            total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return total.hexdigest()


def _settings(ddp: DistributedDataParallel) -> dict[str, Any]:
    known = inspect.signature(DistributedDataParallel).parameters
    settings = {name: getattr(ddp, name) for name in _SETTINGS}
    settings |= {name: getattr(ddp, name) for name in _NEWER_SETTINGS if name in known and hasattr(ddp, name)}
    settings["device_ids"] = ddp.device_ids
    settings["output_device"] = ddp.output_device
    # torch renames this one, and warns where the old name is used.
    settings["forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"] = ddp.broadcast_buffers
    settings["bucket_cap_mb"] = None if ddp.bucket_bytes_cap_default else ddp.bucket_bytes_cap / 2**20
    return settings


def _list(outcomes: list[str]) -> str:
    return "; ".join(f"rank {rank}: {outcome}" for rank, outcome in enumerate(outcomes))
