"""The command line: ``python -m netsculpt demo`` and ``python -m netsculpt info``."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from netsculpt.build_info import build_info
from netsculpt.errors import NetsculptError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 where it worked, 1 with one sentence on stderr where it could not."""
    options = _parser().parse_args(arguments)
    try:
        options.command(options)
    except NetsculptError as error:
        print(f"netsculpt: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("netsculpt: stopped", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="netsculpt", description="Prune, grow and split neural networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    info = commands.add_parser("info", help="say what this installation was built with and runs with")
    info.set_defaults(command=_info)

    demo = commands.add_parser(
        "demo",
        help="train a small network on digits, split its neurons, prune it back; write a report",
        description="Train a narrow network on scikit-learn's digits, split its best neurons twice, prune a widened "
        "layer back, compare with networks trained from scratch, and write a report with a figure.",
    )
    demo.add_argument("--out", type=Path, default=Path("demo-report"), help="folder of the report (%(default)s)")
    demo.add_argument("--seed", type=int, default=0, help="seed of the first trial (%(default)s)")
    demo.add_argument("--trials", type=_positive, help="independent runs that the comparison averages over")
    demo.add_argument("--quick", action="store_true", help="a few epochs, one trial: seconds, numbers mean nothing")
    demo.set_defaults(command=_demo)
    return parser


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number above 0, not {text!r}")
    return number


def _info(_: argparse.Namespace) -> None:
    facts = build_info()
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {'-' if value is None else value}")


def _demo(options: argparse.Namespace) -> None:
    from netsculpt.demo import job, report, tables  # no other command needs them
    from netsculpt.demo.records import Settings

    settings = job.QUICK if options.quick else Settings()
    if options.trials:
        settings = replace(settings, trials=options.trials)
    trials = job.run(options.out, settings, options.seed)
    print(tables.stage_table(trials[0]))
    print()
    print(f"Report: {options.out / report.PAGE}")
