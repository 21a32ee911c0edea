"""Every way to the lowest eigenpairs of one layer, as a generator over its units or over the whole."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from bench.split.layers import Layer, bend, body, measured, network
from netsculpt import Sculptor
from netsculpt.measure import Statistics
from netsculpt.methods.splitting import spectra

Found = dict[str, object]  # values [done], done units, seconds for all of them


def published(layer: Layer, limit: float) -> Found:
    """A matrix of its own for every unit, by autograd at zero, then numpy's eig for matrices of any kind."""
    x, z, g = body(layer)

    def unit(k: int) -> float:
        v = torch.zeros(x.shape[1], x.shape[1], requires_grad=True)
        s = torch.sigmoid(z[:, k])
        second = 2 * s * (1 - s) + z[:, k] * s * (1 - s) * (1 - 2 * s)
        (matrix,) = torch.autograd.grad((g[:, k] * second * ((x @ v) * x).sum(1)).sum(), v)
        return float(np.linalg.eig(matrix.numpy())[0].real.min())

    return _by_unit(unit, layer.units, limit)


def streaming(layer: Layer, limit: float) -> Found:
    """X' diag(q) X and torch.linalg.eigh, one unit after the other."""
    x, z, g = body(layer)
    q = bend(z, g)
    return _by_unit(
        lambda k: float(torch.linalg.eigh(x.t() @ (x * q[:, k : k + 1])).eigenvalues[0]), layer.units, limit
    )


def lobpcg(layer: Layer, limit: float) -> Found:
    """torch.lobpcg on each unit's matrix, from one random vector."""
    x, z, g = body(layer)
    q = bend(z, g)

    def unit(k: int) -> float:
        torch.manual_seed(k)
        matrix = x.t() @ (x * q[:, k : k + 1])
        return float(torch.lobpcg(matrix, k=1, largest=False, niter=100)[0])

    return _by_unit(unit, layer.units, limit)


def rayleigh(layer: Layer, limit: float) -> Found:
    """RMSprop on the Rayleigh quotients of all units, 10 passes over 8 parts of the batch; means of the last pass."""
    start = time.process_time()
    x, z, g = body(layer)
    q = bend(z, g)
    torch.manual_seed(0)
    v = torch.empty(layer.units, x.shape[1]).uniform_(-0.1, 0.1)
    optimizer = torch.optim.RMSprop([v], lr=1e-3, momentum=0.9, alpha=0.9)
    kept = []
    for number in range(10):
        parts = list(zip(x.chunk(8), q.chunk(8), strict=True))
        for rows, weights in parts:
            v.div_(v.norm(dim=1, keepdim=True))
            product = (weights * (rows @ v.t())).t() @ rows * len(parts)
            quotient = (v * product).sum(1)
            v.grad = 2 * (product - quotient.unsqueeze(1) * v)
            optimizer.step()
            if number == 9:
                kept.append(quotient)
        if time.process_time() - start > limit:
            return {"values": [], "done": 0, "seconds": time.process_time() - start}
    return {
        "values": torch.stack(kept).mean(0).tolist(),
        "done": layer.units,
        "seconds": time.process_time() - start,
    }


def ours(layer: Layer, limit: float, route: str | None = None) -> Found:
    """`measure`, which includes the network's forward and backward, and `spectra` at its own tolerance."""
    measured(layer)  # the trace, and what torch loads, are no part of it
    best: Found = {"seconds": float("inf")}
    first = time.process_time()
    for _ in range(3):
        run = traced(layer)
        start = time.process_time()
        stats = run()
        (found,) = spectra(stats, list(stats.units)[:1], ends="lowest", route=route).values()
        seconds = time.process_time() - start
        if seconds < best["seconds"]:
            best = {"values": found.values[:, 0].tolist(), "done": layer.units, "seconds": seconds}
            best |= {"route": found.route, "products": found.products}
        if time.process_time() - first > limit:
            break
    return best


def traced(layer: Layer) -> Callable[[], Statistics]:
    """`measure` ready to run on a model that is traced already."""
    model, x, target = network(layer)
    sculptor = Sculptor(model, x[:2])
    return lambda: sculptor.measure([(x, target)], F.cross_entropy)


def exact(layer: Layer) -> Tensor:
    """In float64: what the others are held to. Through a depthwise layer: our own, converged further."""
    if layer.groups > 1:
        stats = measured(layer)
        (found,) = spectra(stats, list(stats.units)[:1], tol=1e-5, max_products=300).values()
        return found.values[:, 0].double()
    x, z, g = body(layer)
    q = bend(z, g).double()
    if len(x) < x.shape[1]:  # as many eigenvalues as rows at most: of the smaller matrix, and zeros
        kernel, values = x.double() @ x.double().t(), []
        root = torch.linalg.cholesky(kernel + 1e-9 * kernel.diagonal().mean() * torch.eye(len(x)))
        for k in range(layer.units):
            values.append(torch.linalg.eigvalsh(root.t() @ (q[:, k : k + 1] * root))[0].clamp(max=0))
        return torch.stack(values)
    return torch.stack([torch.linalg.eigvalsh(x.double().t() @ (x * q[:, k : k + 1]))[0] for k in range(layer.units)])


def _by_unit(unit: Callable[[int], float], units: int, limit: float) -> Found:
    """Unit by unit as long as there is time; the rest is taken to cost the same, and said so."""
    start, values = time.process_time(), []
    while len(values) < units and (not values or time.process_time() - start < limit):
        values.append(unit(len(values)))
    spent = time.process_time() - start
    return {"values": values, "done": len(values), "seconds": spent * units / len(values)}


ROUTES = {"published": published, "streaming": streaming, "Rayleigh": rayleigh, "lobpcg": lobpcg, "netsculpt": ours}
