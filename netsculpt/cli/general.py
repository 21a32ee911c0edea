"""``info``: what is installed. ``demo``: the first job."""

import argparse
from dataclasses import replace
from pathlib import Path

from netsculpt.build_info import build_info
from netsculpt.cli.arguments import Commands, positive


def add_to(commands: Commands) -> None:
    """Make both commands known."""
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
    demo.add_argument("--trials", type=positive, help="independent runs that the comparison averages over")
    demo.add_argument("--quick", action="store_true", help="a few epochs, one trial: seconds, numbers mean nothing")
    demo.set_defaults(command=_demo)


def _info(_: argparse.Namespace) -> int:
    facts = build_info()
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name:<{width}}  {'-' if value is None else value}")
    return 0


def _demo(options: argparse.Namespace) -> int:
    from netsculpt.demo import job, report, tables  # no other command needs them
    from netsculpt.demo.records import Settings

    settings = job.QUICK if options.quick else Settings()
    if options.trials:
        settings = replace(settings, trials=options.trials)
    trials = job.run(options.out, settings, options.seed)
    print(tables.stage_table(trials[0]))
    print()
    print(f"Report: {options.out / report.PAGE}")
    return 0
