"""The published route in plain torch: every convolution as a product with unfolded patches, everything dense.

After klightz/Firefly, `--method fireflyn`: for every unit a split direction v, and K new units with fan-in from the
layer's input (vno) and from the new units before (vni, into old and new units); one pass to tune, by RMSprop with a
penalty, and one to score by the gates' gradients, each gate on a detached response.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.firefly.network import CLASSES


def patches(x: Tensor) -> Tensor:
    return F.unfold(x, 3, padding=1).contiguous()


class Layer:
    """A convolution with its batch norm and candidates."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d, new: int, new_before: int) -> None:
        self.conv, self.norm, fan = conv, norm, conv.weight[0].numel()
        self.v = torch.empty(conv.out_channels, fan).uniform_(-0.1, 0.1).requires_grad_()
        self.vno = torch.empty(new, fan).normal_(0, 0.1).requires_grad_()
        self.vni = torch.empty(conv.out_channels + new, 9 * new_before).uniform_(-0.01, 0.01).requires_grad_()
        self.gates: tuple[Tensor, Tensor] | None = None

    def parameters(self) -> list[Tensor]:
        return [self.v, self.vno, self.vni]

    def forward(self, x: Tensor, fresh: Tensor | None) -> tuple[Tensor, Tensor]:
        here, old = patches(x), self.conv.out_channels
        along = self.v @ here
        made = self.vno @ here
        if self.gates is not None:
            along, made = along.detach() * self.gates[0][:, None], made.detach() * self.gates[1][:, None]
        assert self.conv.bias is not None
        base = self.conv.weight.detach().flatten(1) @ here + self.conv.bias.detach()[:, None]
        if fresh is not None:
            more = self.vni @ patches(fresh)
            base, made = base + more[:, :old], made + more[:, old:]
        sides = [self._answer(base + sign * along, x) for sign in (1, -1)]
        return 0.5 * (sides[0] + sides[1]), F.relu((made / (1 + self.norm.eps) ** 0.5).unflatten(2, x.shape[2:]))

    def _answer(self, z: Tensor, x: Tensor) -> Tensor:
        n = self.norm
        found = z.unflatten(2, x.shape[2:])
        return F.relu(F.batch_norm(found, n.running_mean, n.running_var, n.weight.detach(), n.bias.detach(), eps=n.eps))


class Published:
    """The over-grown network."""

    def __init__(self, model: nn.Sequential, new: int) -> None:
        self.layers: list[Layer | nn.MaxPool2d] = []
        before = 0
        for first, second in zip(model, [*model][1:], strict=False):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                self.layers.append(Layer(first, second, new, before))
                before = new
            elif isinstance(first, nn.MaxPool2d):
                self.layers.append(first)
        head = model[-1]
        assert isinstance(head, nn.Linear)
        self.head, self.fresh = head, torch.empty(CLASSES, new).uniform_(-0.01, 0.01).requires_grad_()
        grown = [layer for layer in self.layers if isinstance(layer, Layer)]
        self.values = [value for layer in grown for value in layer.parameters()] + [self.fresh]
        self.optimizer = torch.optim.RMSprop(self.values, lr=1e-3, momentum=0.1, alpha=0.9)
        self.grown = grown

    def loss(self, x: Tensor, y: Tensor) -> Tensor:
        fresh: Tensor | None = None
        for layer in self.layers:
            if isinstance(layer, Layer):
                x, fresh = layer.forward(x, fresh)
            else:
                assert fresh is not None
                x, fresh = layer(x), layer(fresh)
        assert fresh is not None
        answer = F.linear(x.flatten(1), self.head.weight.detach(), self.head.bias.detach())
        return F.cross_entropy(answer + F.linear(fresh.flatten(1), self.fresh), y)

    def tune(self, x: Tensor, y: Tensor) -> None:
        penalty = sum(layer.v.square().sum() + 1e-2 * layer.vno.square().sum() for layer in self.grown)
        self.optimizer.zero_grad()
        (self.loss(x, y) + 1e-2 * penalty).backward()
        self.optimizer.step()

    def score(self, x: Tensor, y: Tensor) -> list[Tensor]:
        for layer in self.grown:
            layer.gates = tuple(torch.ones(len(each), requires_grad=True) for each in (layer.v, layer.vno))  # type: ignore[assignment]
        gates = [gate for layer in self.grown for gate in layer.gates or ()]
        found = torch.autograd.grad(self.loss(x, y), gates)
        for layer in self.grown:
            layer.gates = None
        return list(found)
