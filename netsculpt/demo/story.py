"""One trial: a narrow network grown and pruned back, by splitting and by firefly descent, and its controls."""

import copy
from collections.abc import Callable

import torch
from torch import nn

from netsculpt.demo import firefly, pruning, splitting, surgery
from netsculpt.demo.data import Digits
from netsculpt.demo.network import build_network, places, widths_of
from netsculpt.demo.records import Pruning, Round, Rung, Settings, SplitUnit, Stage, Trial
from netsculpt.demo.splitting import Split
from netsculpt.demo.training import evaluate, train

SEED, SPLIT_ONCE, GROWN_ONCE, SPLIT_TWICE = "narrow seed, trained", "after split 1", "trained on", "after split 2"
GROWN, PRUNED, PRUNED_TUNED = "grown: trained on", "pruned: greedy + refit", "pruned and tuned"
NARROW, RANDOM, SCRATCH = "seed never grown", "random splits", "grown widths from scratch"
MAGNITUDE, MAGNITUDE_TUNED = "pruned: by magnitude", "by magnitude, tuned"
MAGNITUDE_REFIT, MAGNITUDE_REFIT_TUNED = "pruned: by magnitude + refit", "by magnitude + refit, tuned"
PRUNED_SCRATCH = "pruned widths from scratch"
WIDER_ONCE, WIDER_TRAINED, WIDER_TWICE = "after firefly 1", "firefly, trained on", "after firefly 2"
WIDER, WIDER_PRUNED, WIDER_TUNED = "firefly: trained on", "firefly: pruned back", "firefly: pruned, tuned"
LADDER = (2.0, 1.0, 0.5, 0.25)  # multiples of the step at which prediction and measurement are compared


class Story:
    """Runs one trial and fills ``trial``; ``tick(stage)`` is called after every epoch."""

    def __init__(self, settings: Settings, data: Digits, seed: int, tick: Callable[[str], None]) -> None:
        self.settings, self.data, self.tick = settings, data, tick
        self.trial = Trial(seed, settings.epochs)

    def run(self) -> Trial:
        """The story first, then its controls, so that both see the same seed network and the same widths."""
        seed_net = build_network(self.settings.seed_widths, self.trial.seed)
        cost = self._train(seed_net, "grown", self.settings.epochs[0])
        self._stage(SEED, seed_net, cost)
        grown, grown_cost = self._grow(seed_net, cost)
        pruned = self._prune(grown, grown_cost)
        self._firefly(seed_net, cost)
        self._controls(seed_net, cost, grown, pruned)
        return self.trial

    def _grow(self, seed_net: nn.Sequential, cost: int) -> tuple[nn.Sequential, int]:
        net = copy.deepcopy(seed_net)
        for name, trained, epochs in zip(
            (SPLIT_ONCE, SPLIT_TWICE), (GROWN_ONCE, GROWN), self.settings.epochs[1:], strict=True
        ):
            measured = splitting.spectra(net, self.data.train)
            plan = splitting.choose(measured, self._count(net), self.settings.step)
            self.trial.rounds.append(self._compare(net, measured, plan))
            splitting.apply(net, plan)
            self._stage(name, net, cost)
            cost += self._train(net, "grown", epochs)
            self._stage(trained, net, cost)
        return net, cost

    def _compare(self, net: nn.Sequential, measured: list[splitting.Spectrum], plan: list[Split]) -> Round:
        """Predicted against measured, before the network itself is touched."""
        graph = surgery.graph_of(net)

        def change(splits: list[Split], scale: float = 1.0) -> float:
            return splitting.measured_change(net, splits, self.data.train, scale, graph)

        total = sum(split.gain for split in plan)
        units = [SplitUnit(s.name, s.unit, s.value, s.gain, change([s])) for s in plan]
        ladder = [Rung(k * self.settings.step, k**2 * total, change(plan, k)) for k in LADDER]
        return Round({s.name: s.values.tolist() for s in measured}, units, ladder, ladder[LADDER.index(1.0)])

    def _prune(self, grown: nn.Sequential, cost: int) -> nn.Sequential:
        """Prune the place that grew most back to its width in the seed, by greedy imitation and by magnitude."""
        seed_widths = self.settings.seed_widths
        added = [now - then for now, then in zip(widths_of(grown), seed_widths, strict=True)]
        index = added.index(max(added))
        seen = pruning.see(grown, index, self.data.train)
        place = places(grown)[index]
        magnitude = pruning.by_magnitude(place)
        order, factors, _ = pruning.greedy(seen, seed_widths[index], "least_squares")
        keep = len(order)  # fewer where some units only repeat others
        curves = pruning.error_curves(seen, magnitude)
        self.trial.pruning = Pruning(place.name, place.units, keep, order.tolist(), curves)

        pruned, refitted, largest = (copy.deepcopy(grown) for _ in range(3))
        kept, large = order.sort().values, magnitude[:keep].sort().values
        pruning.prune(pruned, seen, kept, factors[kept])
        pruning.prune(refitted, seen, large, torch.ones(keep, dtype=torch.float64))
        surgery.keep(largest, places(largest)[index], large)
        for name, tuned, net in (
            (PRUNED, PRUNED_TUNED, pruned),
            (MAGNITUDE_REFIT, MAGNITUDE_REFIT_TUNED, refitted),
            (MAGNITUDE, MAGNITUDE_TUNED, largest),
        ):
            self._stage(name, net, cost)
            self._stage(tuned, net, cost + self._train(net, tuned, self.settings.tuning_epochs))
        return pruned

    def _firefly(self, seed_net: nn.Sequential, cost: int) -> None:
        """Grow the same seed wider and deeper within the same sizes, and prune it back to the same cost."""
        net, data, changes = copy.deepcopy(seed_net), self.data.train, self.trial.changes
        for name, trained, like, epochs in (
            (WIDER_ONCE, WIDER_TRAINED, SPLIT_ONCE, self.settings.epochs[1]),
            (WIDER_TWICE, WIDER, SPLIT_TWICE, self.settings.epochs[2]),
        ):
            most = self._named(like)
            changes[name] = firefly.wider_and_deeper(net, data, most.parameters, most.macs, self.trial.seed)
            self._stage(name, net, cost)
            cost += self._train(net, "firefly", epochs)
            self._stage(trained, net, cost)
        changes[WIDER_PRUNED] = firefly.back(net, data, self._named(PRUNED).macs)
        self._stage(WIDER_PRUNED, net, cost)
        self._stage(WIDER_TUNED, net, cost + self._train(net, WIDER_TUNED, self.settings.tuning_epochs))

    def _named(self, name: str) -> Stage:
        (found,) = (stage for stage in self.trial.stages if stage.name == name)
        return found

    def _controls(self, seed_net: nn.Sequential, cost: int, grown: nn.Sequential, pruned: nn.Sequential) -> None:
        narrow, random = copy.deepcopy(seed_net), copy.deepcopy(seed_net)
        for name, net in ((NARROW, narrow), (RANDOM, random)):
            spent = cost
            self.trial.losses[name] = self.trial.losses["grown"][: self.settings.epochs[0]]
            chance = torch.Generator().manual_seed(self.trial.seed)
            for epochs in self.settings.epochs[1:]:
                if net is random:
                    splitting.apply(net, random_plan(net, self._count(net), self.settings.step, chance))
                spent += self._train(net, name, epochs)
            self._stage(name, net, spent)
        total = sum(self.settings.epochs)
        for name, model, epochs in (
            (SCRATCH, grown, total),
            (PRUNED_SCRATCH, pruned, total + self.settings.tuning_epochs),
        ):
            net = build_network(widths_of(model), self.trial.seed)
            self._stage(name, net, self._train(net, name, epochs))

    def _count(self, net: nn.Sequential) -> int:
        return max(1, round(self.settings.share * sum(widths_of(net))))

    def _train(self, net: nn.Sequential, name: str, epochs: int) -> int:
        """Train, note the loss after every epoch under ``name``, and return what it cost in forward MACs."""
        losses = self.trial.losses.setdefault(name, [])

        def each_epoch(loss: float) -> None:
            losses.append(loss)
            self.tick(name)

        train(net, self.data.train, epochs, self.settings.rate, self.trial.seed + len(losses), each_epoch)
        return surgery.graph_of(net).cost().macs * epochs * len(self.data.train.labels)

    def _stage(self, name: str, net: nn.Sequential, training_macs: int) -> None:
        loss = evaluate(net, self.data.train).loss
        accuracy = evaluate(net, self.data.test).accuracy
        graph = surgery.graph_of(net)
        widths = tuple(axis.size for axis in graph.sculptable)
        self.trial.stages.append(Stage(name, widths, *graph.cost(), loss, accuracy, training_macs))


def random_plan(net: nn.Sequential, count: int, step: float, chance: torch.Generator) -> list[Split]:
    """The control for ``splitting.choose``: units and directions drawn blindly, the same step."""
    units = [(p, place, unit) for p, place in enumerate(places(net)) for unit in range(place.units)]
    plan = []
    for i in torch.randperm(len(units), generator=chance)[:count].tolist():
        p, place, unit = units[i]
        fan_in = place.producer.weight[0].numel() + (place.producer.bias is not None)
        direction = torch.randn(fan_in, generator=chance, dtype=torch.float64)
        plan.append(Split(p, place.name, unit, 0.0, step * direction / direction.norm(), 0.0))
    return plan
