"""The same layer by other ways: plain torch, the published procedure, and the rates of this machine."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from bench.graph.clock import timed
from bench.prune.child import peak, serve
from bench.prune.layer import CONSUMER, KERNEL, LAYERS, network
from bench.roofline import best_time

CANDIDATES = 50  # of every step of the published procedure
PATIENCE = 20.0  # seconds for its forward passes, which are then extrapolated


def rates(name: str, repeats: int) -> dict[str, Any]:
    """Operations per second of a large matrix product."""
    found = {}
    for dtype in (torch.float32, torch.float64):
        a, b = (torch.randn(2048, 2048, dtype=dtype) for _ in range(2))
        found[str(dtype).removeprefix("torch.")] = 2 * 2048**3 / best_time(lambda a=a, b=b: a @ b, 1, 2.0)
    return found


def plain(name: str, repeats: int) -> dict[str, Any]:
    """F.unfold, the covariance of all patches in float64, and greedy loops in Python on K."""
    layer = LAYERS[name]
    model, x, _ = network(layer)
    with torch.no_grad():
        model(x[:1])
        weight = model[CONSUMER].weight
        before = peak()
        grams: list[Tensor] = []

        def statistics() -> None:
            patches = F.unfold(model[:CONSUMER](x), KERNEL, padding=1).transpose(1, 2).flatten(0, 1).double()
            patches -= patches.mean(0)
            columns = weight.double().flatten(1)
            products = (patches.T @ patches) * (columns.T @ columns)
            taps = KERNEL**2
            gram = products.view(layer.units, taps, layer.units, taps).sum((1, 3))
            grams.append(gram / gram.sum())

        measured = min(timed(statistics) for _ in range(min(repeats, 2)))
        memory = peak() - before
        loops: dict[str, Callable[[Tensor, int], list[int]]] = {
            "least_squares": least_squares,
            "line_search": line_search,
            "uniform": uniform,
        }
        orders: dict[str, list[int]] = {}
        seconds = {}
        for mode, loop in loops.items():
            seconds[mode] = min(
                timed(lambda mode=mode, loop=loop: orders.update({mode: loop(grams[-1], layer.keep)}))
                for _ in range(repeats)
            )
    return {"measure": measured, "memory": memory, "select": seconds, "order": orders["least_squares"]}


def uniform(gram: Tensor, steps: int) -> list[int]:
    """The fixed step: the best unit beside those chosen, all with the same weight."""
    size, target, energies = len(gram), gram.sum(1), gram.diagonal()
    products, with_all, with_itself = torch.zeros_like(target), 0.0, 0.0
    order = []
    for k in range(1, steps + 1):
        errors = (size / k) ** 2 * (with_itself + 2 * products + energies) - 2 * size / k * (with_all + target)
        order.append(i := int(errors.argmin()))
        with_itself += float(2 * products[i] + energies[i])
        with_all += float(target[i])
        products = products + gram[i]
    return order


def line_search(gram: Tensor, steps: int) -> list[int]:
    """The best step towards one unit, or away from it until it has no weight."""
    size, target, energies = len(gram), gram.sum(1), gram.diagonal()
    order = [int((size**2 * energies - 2 * size * target).argmin())]
    a = torch.zeros_like(target)
    a[order[0]] = 1
    Ka = gram[order[0]].clone()
    for _ in range(steps - 1):
        aKa = a @ Ka
        num = size * target - size**2 * Ka - size * (a @ target) + size**2 * aKa
        den = size**2 * (energies - 2 * Ka + aKa)
        gamma = torch.where(a < 1, (num / den).clamp(max=1.0).maximum(-a / (1 - a)), 0.0)
        order.append(i := int((2 * gamma * num - gamma.square() * den).argmax()))
        step = float(gamma[i])
        a = (1 - step) * a
        a[i] += step
        Ka = (1 - step) * Ka + step * gram[i]
    return order


def least_squares(gram: Tensor, steps: int) -> list[int]:
    """Orthogonal least squares by a growing Cholesky factor."""
    size = len(gram)
    residual, left = gram.diagonal().clone(), gram.sum(1)
    factor = torch.zeros(steps, size, dtype=gram.dtype)
    free = torch.ones(size, dtype=torch.bool)
    order = []
    for k in range(steps):
        gains = torch.where(free, left.square() / residual, -torch.inf)
        order.append(i := int(gains.argmax()))
        free[i] = False
        row = (gram[i] - factor[:k, i] @ factor[:k]) / residual[i].sqrt()
        factor[k] = row
        left = left - row * (left[i] / row[i])
        residual = residual - row.square()
    return order


def published(name: str, repeats: int) -> dict[str, Any]:
    """Forward passes of the whole network with a mask on the units, one for every candidate of every step."""
    layer = LAYERS[name]
    model, x, y = network(layer)
    before, done = peak(), 0
    with torch.no_grad():
        model(x[:1])
        start = time.process_time()
        while time.process_time() - start < PATIENCE and done < CANDIDATES:
            mask = torch.zeros(1, layer.units, 1, 1)
            mask[:, : done + 1] = layer.units / (done + 1)
            F.cross_entropy(model[CONSUMER:](model[:CONSUMER](x) * mask), y)
            done += 1
    forward = (time.process_time() - start) / done
    total = forward * CANDIDATES * layer.keep
    memory = peak() - before
    return {"forward": forward, "candidates": CANDIDATES, "done": done, "total": total, "memory": memory}


if __name__ == "__main__":
    serve({"rates": rates, "plain": plain, "published": published})
