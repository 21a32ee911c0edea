"""The command line: ``python -m netsculpt COMMAND``, a family of commands per module."""

import argparse
import os
import sys
from collections.abc import Sequence

from netsculpt.cli import general, graphs
from netsculpt.errors import NetsculptError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: as after ``python -m netsculpt``; those of this process where None.

    Returns:
        0 where it worked; 1 where what it checked does not hold, or where it could not run, then with one sentence on
        stderr; as shells have it, 130 where it was stopped and 141 where nobody reads on.
    """
    options = _parser().parse_args(arguments)
    try:
        code = int(options.command(options))
        sys.stdout.flush()
        return code
    except NetsculptError as error:
        print(f"netsculpt: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("netsculpt: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever reads, head for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="netsculpt", description="Prune, grow and split neural networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    general.add_to(commands)
    graphs.add_to(commands)
    return parser
