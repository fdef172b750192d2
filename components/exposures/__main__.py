"""`python -m components.exposures archive LOG`: journals become Parquet files."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from components.exposures.archiving import archive
from pipelines.errors import DaybreakError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m components.exposures", description="The exposure log.")
    commands = parser.add_subparsers(dest="command", required=True)
    archiving = commands.add_parser("archive", help="journals of dead gateways and full ones become Parquet files")
    archiving.add_argument("log", type=Path)
    arguments = parser.parse_args(argv)
    try:
        os.nice(10)  # a gateway's requests come first
        archive(arguments.log)
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
