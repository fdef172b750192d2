"""The exposure log from the command line.

python -m components.exposures archive LOG              # journals become Parquet files
python -m components.exposures import FILE --log LOG    # outcomes from a Parquet, CSV or JSON-lines file
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from components.exposures.archiving import archive
from components.exposures.inbox import import_file
from components.exposures.reading import default_log
from pipelines.errors import DaybreakError
from pipelines.settings import Settings


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m components.exposures", description="The exposure log.")
    commands = parser.add_subparsers(dest="command", required=True)
    archiving = commands.add_parser("archive", help="journals of dead gateways and full ones become Parquet files")
    archiving.add_argument("log", type=Path)
    importing = commands.add_parser("import", help="outcomes from a file")
    importing.add_argument("file", type=Path)
    importing.add_argument("--log", type=Path, default=None, help="default: <state>/exposures")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "archive":
            os.nice(10)  # a gateway's requests come first
            archive(arguments.log)
        else:
            log = arguments.log or default_log(Settings.from_environment())
            print(f"{import_file(arguments.file, log)} outcomes taken over into {log}")
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
