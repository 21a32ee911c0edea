"""What else can be done with a sequence of tasks: a network for each, tuning one network on and on, and EWC.

One network that is tuned on, with EWC or without, has norms and a head of its own for every task, as the pool's tasks
have: what is forgotten is what happens to the shared weights.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bench.experiments.continual_data import BATCH, Sequence, Shuffled, Task
from netsculpt.continual.private import heads_of, install, outlet, private_names, renew, state_of
from netsculpt.graph import trace

RATE, FISHER = 2e-3, 1_000  # Adam's; pictures of a task by which EWC knows what matters


class Outcome(NamedTuple):
    """Test accuracy of every task after every task, [after][task] as far as learnt, and numbers that are kept."""

    accuracy: list[list[float]]
    size: int


def numbers(net: nn.Module) -> int:
    """Parameters and running statistics."""
    return sum(each.numel() for each in net.state_dict().values() if each.is_floating_point())


@torch.no_grad()
def right(net: nn.Module, task: Task) -> float:
    """Accuracy on the test pictures."""
    net.eval()
    found = [(net(x).argmax(1) == y).sum() for x, y in task.test.batches(1000)]
    return int(torch.stack(found).sum()) / len(task.test.labels)


def fit(net: nn.Module, task: Task, epochs: int, seed: int, penalty: Callable[[], Tensor] | None = None) -> None:
    """Adam, its rate along half a cosine, as the pool's tasks are trained."""
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    batches = Shuffled(task.train, seed)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(batches))
    net.train()
    for _ in range(epochs):
        for x, y in batches:
            loss = F.cross_entropy(net(x), y)
            if penalty is not None:
                loss = loss + penalty()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def apart(sequence: Sequence, epochs: int, seed: int, scale: float = 1.0) -> tuple[Outcome, list[float]]:
    """A network for every task, each like the first one but for its widths; their accuracies on held-out pictures."""
    nets: list[nn.Module] = []
    accuracy = []
    for task in sequence.tasks:
        nets.append(sequence.build(scale))
        fit(nets[-1], task, epochs, seed)
        found = [right(net, each) for net, each in zip(nets, sequence.tasks, strict=False)]
        accuracy.append(found)
    held = [right(net, task._replace(test=task.held)) for net, task in zip(nets, sequence.tasks, strict=True)]
    return Outcome(accuracy, sum(map(numbers, nets))), held


def scale_within(sequence: Sequence, size: int) -> float:
    """The largest factor on widths with which networks for all tasks have no more numbers than that."""
    scales = [step / 50 for step in range(50, 0, -1)]
    return next(each for each in scales if numbers(sequence.build(each)) * len(sequence.tasks) <= size)


def tuned(sequence: Sequence, epochs: int, seed: int, strength: float = 0.0) -> Outcome:
    """One network, tuned on every task in turn; ``strength``: of EWC's penalty.

    Source: J. Kirkpatrick et al., "Overcoming catastrophic forgetting in neural networks" (2017), with a penalty for
    every earlier task and the diagonal Fisher of its training labels.
    """
    net = sequence.build(1.0)
    graph = trace(net, sequence.tasks[0].train.pictures[:2])
    heads = heads_of(net, graph, None)
    out, names = outlet(net, graph, heads), private_names(net, heads)
    states: list[dict[str, Tensor]] = []
    anchors: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []
    accuracy = []
    for number, task in enumerate(sequence.tasks):
        if number:
            torch.manual_seed(seed)
            renew(net, heads, out, None)
        own = {name: each for name, each in net.named_parameters() if name not in names}

        def penalty(own: dict[str, Tensor] = own) -> Tensor:
            terms = [
                (weight[name] * (own[name] - anchor[name]).square()).sum() for anchor, weight in anchors for name in own
            ]
            return strength / 2 * torch.stack(terms).sum()

        fit(net, task, epochs, seed, penalty if anchors and strength else None)
        if strength:
            anchors.append(({name: each.detach().clone() for name, each in own.items()}, fisher(net, task, list(own))))
        states.append(state_of(net, names))
        found = []
        for state, each in zip(states, sequence.tasks, strict=False):
            install(net, state, out)
            found.append(right(net, each))
        accuracy.append(found)
    size = numbers(net) + sum(
        each.numel() for state in states[1:] for each in state.values() if each.is_floating_point()
    )
    return Outcome(accuracy, size)


def fisher(net: nn.Module, task: Task, names: list[str]) -> dict[str, Tensor]:
    """The mean square of single pictures' gradients, by name of the parameter."""
    net.eval()
    parameters = {name: each.detach() for name, each in net.named_parameters()}
    buffers = dict(net.named_buffers())

    def loss(own: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        answer = torch.func.functional_call(net, ({**parameters, **own}, buffers), (x[None],))
        return F.cross_entropy(answer, y[None])

    single = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    own = {name: parameters[name] for name in names}
    total = {name: torch.zeros_like(each) for name, each in own.items()}
    part = task.train.take(torch.arange(min(FISHER, len(task.train.labels))))
    for x, y in part.batches(BATCH):
        for name, grads in single(own, x, y).items():
            total[name] += grads.square().sum(0)
    return {name: each / len(part.labels) for name, each in total.items()}


def without(sequence: Sequence, count: int) -> Sequence:
    """The first tasks alone, judged by held-out pictures: to choose a strength by."""
    tasks = [task._replace(test=task.held) for task in sequence.tasks[:count]]
    return sequence._replace(tasks=tasks)
