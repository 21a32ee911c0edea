"""Write what happened: a Markdown page for people, CSV and JSON for programs."""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from netsculpt.build_info import build_info
from netsculpt.demo import story, tables
from netsculpt.demo.data import Digits
from netsculpt.demo.records import Round, Rung, Settings, Trial
from netsculpt.demo.tables import mean, percent, stage_of, stage_table

PAGE, FIGURE = "report.md", "figure.png"
COMPARED = (
    story.SEED,
    story.NARROW,
    story.RANDOM,
    story.GROWN,
    story.SCRATCH,
    story.PRUNED,
    story.MAGNITUDE_REFIT,
    story.MAGNITUDE,
    story.PRUNED_TUNED,
    story.MAGNITUDE_REFIT_TUNED,
    story.MAGNITUDE_TUNED,
    story.PRUNED_SCRATCH,
    story.WIDER,
    story.WIDER_PRUNED,
    story.WIDER_TUNED,
)


def write(trials: Sequence[Trial], settings: Settings, data: Digits, out: Path, seconds: float) -> None:
    """Write report.md, results.json, stages.csv, splits.csv and pruning.csv into ``out``."""
    (out / PAGE).write_text(page(trials, settings, data, seconds), encoding="utf-8")
    results = {"settings": asdict(settings), "build": build_info(), "seconds": seconds}
    results["trials"] = [asdict(trial) for trial in trials]
    (out / "results.json").write_text(json.dumps(results, indent=1), encoding="utf-8")
    _csv(out / "stages.csv", ({"trial": t.seed} | asdict(stage) for t in trials for stage in t.stages))
    _csv(
        out / "splits.csv",
        (
            {"trial": t.seed, "round": number} | asdict(unit)
            for t in trials
            for number, growth in enumerate(t.rounds, 1)
            for unit in growth.units
        ),
    )
    _csv(
        out / "pruning.csv",
        (
            {"trial": t.seed, "layer": t.pruning.layer, "way": way, "kept": kept, "unexplained_variance": error}
            for t in trials
            if t.pruning
            for way, curve in t.pruning.curves.items()
            for kept, error in enumerate(curve, 1)
        ),
    )


def _csv(path: Path, rows: Iterable[dict[str, object]]) -> None:
    listed = list(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(listed[0]) if listed else [])
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in listed)


def _cell(value: object) -> object:
    return "-".join(map(str, value)) if isinstance(value, tuple) else value


def page(trials: Sequence[Trial], settings: Settings, data: Digits, seconds: float) -> str:
    """The report as Markdown; every sentence with a number in it is computed from the run."""
    first = trials[0]
    sections = [
        "# A network, grown and pruned",
        _introduction(trials, settings, data),
        f"![Training loss, predicted and measured gains, pruning error, accuracy against size]({FIGURE})",
        "## In short\n\n" + "\n".join(f"- {sentence}" for sentence in verdicts(trials)),
        f"## One life, stage by stage (seed {first.seed})\n\n{stage_table(first)}\n\n{_HOW_TO_READ}",
        "## Splitting: predicted and measured\n\n" + _SPLITTING,
        *(_round(number, growth, settings) for number, growth in enumerate(first.rounds, 1)),
        _pruning(first),
        _firefly(first),
        f"## Is it worth it? Everything over {_runs(trials)}\n\n"
        f"{tables.comparison_table(trials, COMPARED)}\n\n{_comparison_notes(trials, settings, data)}",
        _measured(settings, data, seconds),
    ]
    return "\n\n".join(sections) + "\n"


_HOW_TO_READ = (
    "Widths are the units of the three convolutions and of the hidden linear layer, and of residual layers where they "
    "stand. MACs are the multiply-accumulates "
    'of one image. "After split" is the network right after its units were split, before any further training: the '
    "accuracy should barely move, because a split hardly changes the function. It only opens directions to train in."
)

_SPLITTING = (
    "Each unit's *splitting matrix* S says what splitting it can gain: replacing weights θ by two copies θ + εv and "
    "θ − εv that share the outgoing weight changes the loss by ε²/2 · vᵀSv, up to order ε⁴. The best v is the "
    "eigenvector of the lowest eigenvalue λ; where λ < 0 a split lowers the loss, even at a point where no gradient "
    "step does. All matrices come from one backward pass. Predicted and measured below are on the training images, in "
    "evaluation mode with frozen batch norm, on float64 copies of the network."
)


def _introduction(trials: Sequence[Trial], settings: Settings, data: Digits) -> str:
    first = trials[0]
    widths = "-".join(map(str, settings.seed_widths))
    assert first.pruning is not None
    return (
        f"A deliberately narrow network (widths {widths}) learns scikit-learn's digits ({len(data.train.labels):,} "
        "images to train on). Its most promising neurons are **split** in two, it trains on, they are split again, and "
        f"it trains on. Then one of the layers that grew, {first.pruning.layer}, is **pruned** back to its first width "
        "by choosing the units from which the next layer can best rebuild what it used to see. Controls run beside it: "
        "the same networks from scratch, random splits, no splits, and pruning by magnitude. A second story grows the "
        "same seed **wider and deeper** by firefly descent and prunes it back."
    )


def verdicts(trials: Sequence[Trial]) -> list[str]:
    """What the numbers say, favourable or not."""
    return [
        _prediction([growth.made for trial in trials for growth in trial.rounds if growth.units]),
        "Splitting against never growing: " + _duel(trials, story.GROWN, story.NARROW),
        "The best splits against as many random ones: " + _duel(trials, story.GROWN, story.RANDOM),
        "Growing against training the same widths from scratch for as many epochs: "
        + _duel(trials, story.GROWN, story.SCRATCH)
        + _cost(trials, story.GROWN, story.SCRATCH),
        "Grown wider and deeper by firefly descent against split, no larger: "
        + _duel(trials, story.WIDER, story.GROWN),
        "Pruned back and tuned, firefly against split: " + _duel(trials, story.WIDER_TUNED, story.PRUNED_TUNED),
        "Right after pruning, greedy with refit against magnitude: " + _duel(trials, story.PRUNED, story.MAGNITUDE),
        "Right after pruning, greedy against magnitude, both refitted: "
        + _duel(trials, story.PRUNED, story.MAGNITUDE_REFIT),
        "Pruned and tuned against the same widths from scratch for as many epochs: "
        + _duel(trials, story.PRUNED_TUNED, story.PRUNED_SCRATCH),
    ]


def _firefly(trial: Trial) -> str:
    return (
        "## Wider and deeper: firefly descent\n\n"
        "The second story starts from the same trained seed. To a copy of it everything is attached that it could grow "
        "by: offsets ±δ of the two copies of every unit, new units, and residual layers behind every activation. The "
        "candidates alone are tuned for a few batches, each is scored by the integral of the loss's gradient along its "
        "gate, and the best, of all kinds together, are made by edits up to the parameters and MACs of the split "
        "network. At the end local imitation prunes it to the MACs of the first story's pruned network, over all "
        "layers at once. Losses are those on the training images; what is predicted comes from the network with the "
        f"candidates attached, or with the units left out, before anything is edited.\n\n{tables.change_table(trial)}"
    )


def _prediction(made: Sequence[Rung]) -> str:
    if not made:
        return "No unit had a negative λ, so none was split: this network was too little trained, or had converged."
    ratios = [rung.measured / rung.predicted for rung in made]
    verdict = "**close**" if min(ratios) > 0.75 and max(ratios) < 1.25 else "**rough**"
    return (
        f"The loss change predicted before a growth round: {verdict}, measured / predicted is between "
        f"{min(ratios):.2f} and {max(ratios):.2f} over {len(ratios)} rounds at the step that was made. It tends to 1 "
        "as the step shrinks; the tables below show how fast."
    )


def _duel(trials: Sequence[Trial], ours: str, theirs: str) -> str:
    pairs = [(stage_of(t, ours).test_accuracy, stage_of(t, theirs).test_accuracy) for t in trials]
    a, b = mean(x for x, _ in pairs), mean(y for _, y in pairs)
    better, worse = sum(x > y for x, y in pairs), sum(x < y for x, y in pairs)
    word = "ahead" if better == len(pairs) else "behind" if worse == len(pairs) else "undecided"
    macs = [mean(stage_of(t, name).macs for t in trials) for name in (ours, theirs)]
    sizes = "" if macs[0] == macs[1] else f", with {macs[0]:,.0f} against {macs[1]:,.0f} MACs"
    return (
        f"**{word}**, {percent(a)} against {percent(b)} test accuracy{sizes} "
        f"(better in {better}, worse in {worse} of {_runs(trials)})."
    )


def _cost(trials: Sequence[Trial], ours: str, theirs: str) -> str:
    ratio = mean(stage_of(t, ours).training_macs / stage_of(t, theirs).training_macs for t in trials)
    return f" Its training cost {100 * ratio:.0f} % of the other's multiply-accumulates."


def _runs(trials: Sequence[Trial]) -> str:
    return f"{len(trials)} run{'s' if len(trials) > 1 else ''}"


def _round(number: int, growth: Round, settings: Settings) -> str:
    if not growth.units:
        return f"### Round {number}\n\nNo unit had a negative λ, so none was split."
    predicted, measured = growth.made.predicted, growth.made.measured
    return (
        f"### Round {number}\n\n{len(growth.units)} units split with ε = {settings.step:g}. Predicted "
        f"**{predicted:+.6f}**, measured **{measured:+.6f}** (ratio {measured / predicted:.3f}).\n\n"
        f"{tables.split_table(growth)}\n\n"
        "Each unit alone, summed by layer, above; all of them together, for several steps, below. The last column "
        f"settles to a constant, as it must where the remainder is of fourth order.\n\n{tables.ladder_table(growth)}"
    )


def _pruning(trial: Trial) -> str:
    pruning = trial.pruning
    assert pruning is not None
    order = ", ".join(map(str, pruning.order))
    return (
        f"## Pruning {pruning.layer} from {pruning.before} to {pruning.after} units\n\n"
        "One pass over the training images gives the covariance of what the next layer sees, and from it the Gram "
        "matrix of the units' contributions to that layer's pre-activation. Greedy selection then adds, one at a time, "
        f"the unit that helps most to imitate the full layer; by least squares it chose {order}. The table shows the "
        "variance of the pre-activation that is left unexplained. *Uniform* gives every kept unit the same factor, "
        "*line search* a convex combination, *least squares* the best factor each; *refit* also lets the next layer "
        f"choose all its weights anew (ridge regression, folded into its weights and bias).\n\n"
        f"{tables.curve_table(pruning)}"
    )


def _comparison_notes(trials: Sequence[Trial], settings: Settings, data: Digits) -> str:
    tested = len(data.test.labels)
    accuracy = mean(stage_of(t, story.GROWN).test_accuracy for t in trials)
    deviation = (accuracy * (1 - accuracy) / tested) ** 0.5
    return (
        f"Mean ± standard deviation over seeds. With {tested} test images one accuracy is itself known only to about "
        f"± {100 * deviation:.1f} points, so small differences mean little. Training cost counts the forward "
        f"multiply-accumulates of all training so far. Networks from scratch get all {sum(settings.epochs)} epochs "
        f"(and the {settings.tuning_epochs} of tuning, against the pruned network) under one cosine; "
        "they were not tuned separately."
    )


def _measured(settings: Settings, data: Digits, seconds: float) -> str:
    info = build_info()
    first, between, after = settings.epochs
    facts = [
        f"Data: scikit-learn digits, fixed stratified split: {len(data.train.labels)} train (also the calibration set),"
        f" {len(data.validation.labels)} validation (hyper-parameters were chosen there), {len(data.test.labels)} test "
        "(touched only by the accuracies on this page).",
        f"Schedule: {first} epochs, split, {between} epochs, split, {after} epochs, prune, {settings.tuning_epochs} "
        "epochs. Every stretch starts a **new** AdamW (optimizer state is rebuilt, not carried over a change of "
        f"structure) with a learning rate falling from {settings.rate:g} to 0 along a half cosine.",
        f"Each round splits {100 * settings.share:.0f} % as many units as there are, those with the lowest λ over all "
        "layers, however much they cost. Batch norm rows are copied with their unit; incoming weights that read a "
        "split unit are halved. SiLU activations, because splitting needs σ'' and that of ReLU is zero.",
        f"{seconds:.0f} seconds in all, one thread; netsculpt {info['version']}, torch {info['torch_running']}, "
        f"kernels: {info['simd']}.",
        "Numbers: `results.json` (everything), `stages.csv`, `splits.csv`, `pruning.csv`.",
    ]
    return "## How it was measured\n\n" + "\n".join(f"- {fact}" for fact in facts)
