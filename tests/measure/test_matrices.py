"""S4: products with the splitting matrices against matrices made in plain torch, unit by unit, as was published."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netsculpt.methods.splitting.spectra import multiply, spectra
from tests.measure.measured import directions, matrices, statistics
from tests.measure.networks import Case, case


def hessians(layers: list[nn.Module], body: Callable[[list[Tensor]], Tensor], g: Tensor) -> Tensor:
    """∂²⟨g, h(θ)⟩ for every unit of layers with weights [m, ...]: θ is the unit's rows, then its bias, layer by layer.

    Args:
        layers: their inputs are bound by ``body``.
        body: what the units answer when the layers have these weights and biases, one [m, d] of each layer.
        g: gradient of the loss at that answer.
    """
    found = []
    rows = [
        torch.cat([layer.weight.flatten(1), *([] if layer.bias is None else [layer.bias[:, None]])], 1).detach()
        for layer in layers
    ]
    for k in range(len(rows[0])):

        def of_unit(theta: Tensor, k: int = k) -> Tensor:
            parts = theta.split([each.shape[1] for each in rows])
            moved = [torch.cat([all_[:k], part[None], all_[k + 1 :]]) for all_, part in zip(rows, parts, strict=True)]
            return (g * body(moved)).sum()

        found.append(torch.autograd.functional.hessian(of_unit, torch.cat([each[k] for each in rows])))
    return torch.stack(found)


def gradient(head: Callable[[Tensor], Tensor], h: Tensor, y: Tensor) -> Tensor:
    """Of the mean loss at the units' answers."""
    h = h.detach().requires_grad_()
    (g,) = torch.autograd.grad(F.cross_entropy(head(h), y), h)
    return g


def of_convolution(subject: Case) -> dict[str, Tensor]:
    m, x = subject.model, subject.x

    def first(w: list[Tensor]) -> Tensor:
        return torch.tanh(F.conv2d(x, w[0][:, :-1].view_as(m.a.weight), w[0][:, -1], stride=2, padding=1))

    def second(w: list[Tensor]) -> Tensor:
        z = F.conv2d(torch.tanh(m.a(x)), w[0][:, :-1].view_as(m.b.weight), w[0][:, -1], padding=1, dilation=(2, 1))
        return torch.tanh(z)

    def tail(h: Tensor) -> Tensor:
        return m.head(h.flatten(1))

    h1, h2 = torch.tanh(m.a(x)), torch.tanh(m.b(torch.tanh(m.a(x))))
    g1 = gradient(lambda h: tail(torch.tanh(m.b(h))), h1, subject.y)
    return {"a": hessians([m.a], first, g1), "b": hessians([m.b], second, gradient(tail, h2, subject.y))}


def of_depthwise(subject: Case) -> dict[str, Tensor]:
    m = subject.model

    def body(w: list[Tensor]) -> Tensor:
        z = F.conv2d(subject.x, w[0].view_as(m.expand.weight))
        return F.silu(m.bn2(m.depth(F.silu(m.bn1(z)))))

    def tail(h: Tensor) -> Tensor:
        return m.head(F.gelu(m.project(h)).mean((2, 3)))

    h = F.silu(m.bn2(m.depth(F.silu(m.bn1(m.expand(subject.x))))))
    return {"expand": hessians([m.expand], body, gradient(tail, h, subject.y))}


def of_gated(subject: Case) -> dict[str, Tensor]:
    m, x = subject.model, subject.x

    def body(w: list[Tensor]) -> Tensor:
        return F.silu(F.linear(x, w[0][:, :-1], w[0][:, -1])) * F.linear(x, w[1])

    def tail(h: Tensor) -> Tensor:
        return m.down(h).mean(1)

    return {"gate": hessians([m.gate, m.up], body, gradient(tail, F.silu(m.gate(x)) * m.up(x), subject.y))}


PLAIN = {"Strided": of_convolution, "Depthwise": of_depthwise, "SwiGlu": of_gated}


@pytest.mark.parametrize("name", PLAIN)
def test_matrices_are_those_of_plain_autograd(name: str) -> None:
    subject = case(name)
    stats = statistics(subject)
    for axis, expected in PLAIN[name](subject).items():
        torch.testing.assert_close(matrices(stats, axis), expected, rtol=1e-10, atol=1e-14)


def test_the_published_construction_gives_the_same() -> None:
    """An auxiliary term σ''(z) xᵀVx is added to each unit; dL/dV at V = 0 is the splitting matrix."""
    subject = case("VitMlp")
    m, stats = subject.model, statistics(subject)
    x = m.norm(subject.x)
    z = m.up(x).detach()
    bend = torch.autograd.functional.jvp(
        lambda z: torch.autograd.functional.jvp(F.gelu, z, torch.ones_like(z), create_graph=True)[1],
        z,
        torch.ones_like(z),
    )[1]
    rows = F.pad(x, (0, 1), value=1.0).detach()
    v = torch.zeros(6, 5, 5, dtype=torch.float64, requires_grad=True)
    h = F.gelu(z) + bend * torch.einsum("btd,kde,bte->btk", rows, v, rows)
    loss = F.cross_entropy(m.head((subject.x + m.down(h)).mean(1)), subject.y)
    (expected,) = torch.autograd.grad(loss, v)
    torch.testing.assert_close(matrices(stats, "up"), expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["Strided", "VitMlp", "Conv1d", "Pooled", "Gpt2"])
def test_weighted_patches_make_the_same_matrices(name: str) -> None:
    stats = statistics(case(name))
    explicit = [axis for axis, unit in stats.units.items() if unit.explicit]
    assert explicit
    for axis in explicit:
        made = torch.zeros_like(matrices(stats, axis))
        for batch in stats.samples([axis]):
            pair = batch[axis].rows()
            assert pair is not None
            x, q = pair
            made += torch.einsum("nd,nm,ne->mde", x, q, x)
        torch.testing.assert_close(made, matrices(stats, axis), rtol=1e-10, atol=1e-15)


def test_a_convolution_there_and_back_is_the_matrix_times_the_vector() -> None:
    stats = statistics(case("Strided"))
    v = directions(stats, "a")
    expected = torch.einsum("mde,me->md", matrices(stats, "a"), v)
    torch.testing.assert_close(multiply(stats, {"a": v})["a"], expected)


class Normed(nn.Module):
    """A linear layer, frozen statistics, tanh; the norm may be folded into the layer."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.bn, self.head = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.bn(self.up(x))))


def test_the_factor_of_a_norm_counts_twice() -> None:
    torch.manual_seed(0)
    subject = Case(Normed().double().eval(), torch.randn(6, 4, dtype=torch.float64), torch.randint(0, 3, (6,)))
    bn = subject.model.bn
    bn.running_var.uniform_(0.2, 3)
    bn.weight.data.uniform_(-2, 2)
    s = bn.weight.detach() / (bn.running_var + bn.eps).sqrt()
    folded = Normed().double().eval()
    folded.load_state_dict(subject.model.state_dict())
    folded.bn = nn.Identity()
    folded.up.weight.data *= s[:, None]
    folded.up.bias.data = (folded.up.bias.data - bn.running_mean) * s + bn.bias.data
    stats, plain = statistics(subject), statistics(subject._replace(model=folded))
    torch.testing.assert_close(matrices(stats, "up"), s.square()[:, None, None] * matrices(plain, "up"))


def test_values_of_spectra_are_those_of_the_matrices() -> None:
    stats = statistics(case("SwiGlu"))
    values = torch.linalg.eigvalsh(matrices(stats, "gate"))
    torch.testing.assert_close(spectra(stats)["gate"].values, values[:, [0, -1]])
