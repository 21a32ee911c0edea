"""What a run measures, as plain data: the report, the tables and the figure read nothing else."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    """The whole experiment. The defaults were chosen on the validation part; ``report`` says how they did on test."""

    seed_widths: tuple[int, int, int, int] = (2, 3, 4, 6)
    epochs: tuple[int, int, int] = (15, 15, 30)  # before the first split, between the two, after the second
    tuning_epochs: int = 8  # after pruning
    rate: float = 0.02
    step: float = 0.05  # ε: how far each copy moves, in units of weights
    share: float = 0.5  # of all units, split in each round
    trials: int = 3


@dataclass(frozen=True)
class Stage:
    """A network at one point of its life. ``training_macs``: forward multiply-accumulates of all its training."""

    name: str
    widths: tuple[int, ...]
    parameters: int
    macs: int
    train_loss: float
    test_accuracy: float
    training_macs: int


@dataclass(frozen=True)
class SplitUnit:
    """One split: λ of its splitting matrix, and the loss change it was predicted to make and makes when made alone."""

    layer: str
    unit: int
    value: float
    predicted: float
    measured: float


@dataclass(frozen=True)
class Rung:
    """All splits of a round made together with copies moved by ``step``."""

    step: float
    predicted: float
    measured: float


@dataclass(frozen=True)
class Round:
    """One growth round; ``spectrum``: λ of every unit before it, by layer. No unit is split where no λ is below 0."""

    spectrum: dict[str, list[float]]
    units: list[SplitUnit]
    ladder: list[Rung]
    made: Rung  # the one of the ladder whose step was made; its prediction is the sum of the units'


@dataclass(frozen=True)
class Pruning:
    """Pruning one layer; ``curves``: way of pruning -> unexplained variance with 1, 2, … units kept."""

    layer: str
    before: int
    after: int
    order: list[int]
    curves: dict[str, list[float]]


@dataclass(frozen=True)
class Change:
    """A step of the second story; ``what`` was edited, and the loss change that it was predicted to make and made."""

    what: str
    predicted: float
    measured: float


@dataclass
class Trial:
    """One seed: the stories and their controls. ``losses``: name of a network -> training loss after every epoch."""

    seed: int
    epochs: tuple[int, int, int]
    stages: list[Stage] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    pruning: Pruning | None = None
    changes: dict[str, Change] = field(default_factory=dict)  # of the second story, by the name of the stage
    losses: dict[str, list[float]] = field(default_factory=dict)
