"""What of rollouts needs the ML environment.

python -m components.rollout tick [shop] [--now 2026-01-05T18:00Z]
python -m components.rollout reconcile shop
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator

from components.rollout.measuring import measure_from_log
from components.rollout.ticking import Report, Ticker
from pipelines.errors import DaybreakError, SpecError, TransientError, one_line
from pipelines.manifest import read_manifest
from pipelines.settings import Settings


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    settings, code = Settings.from_environment(), 0
    now = _time(arguments.now)
    for name in [arguments.name] if arguments.name else models(settings):
        try:
            report = _work(arguments.command, settings, name, now)
        except DaybreakError as error:  # of one model; the others go on
            print(error, file=sys.stderr)
            code = code or error.exit_code
            continue
        for line in report.lines:
            print(line)
        for problem in report.problems:
            print(problem, file=sys.stderr)
        code = code or (TransientError.exit_code if report.problems else 0)
    return code


def models(settings: Settings) -> Iterator[str]:
    """Pipelines whose spec has a rollout, or had one when the last of them began."""
    from components.rollout.store import RolloutStore

    known = set(RolloutStore.open(settings).models())
    for path in sorted(settings.manifests.glob("*.json")):
        spec = read_manifest(path).spec
        if path.stem in known or (spec and spec.get("rollout")):
            yield path.stem


def _work(command: str, settings: Settings, name: str, now: datetime.datetime) -> Report:
    from sqlalchemy.exc import DBAPIError

    try:
        ticker = Ticker.open(settings, name, measure=measure_from_log(settings))
        return ticker.tick(now=now) if command == "tick" else ticker.reconcile(now=now)
    except DBAPIError as error:
        raise TransientError(
            f"the database failed during the {command} of {name}: {one_line(error)}",
            fix="see `daybreak status`; the next tick goes on where this one was",
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="daybreak rollout")
    commands = parser.add_subparsers(dest="command", required=True)
    tick = commands.add_parser("tick", help="measure, decide, carry out, project")
    tick.add_argument("name", nargs="?", default="")
    reconcile = commands.add_parser("reconcile", help="project only")
    reconcile.add_argument("name")
    for command in (tick, reconcile):
        command.add_argument("--now", default="", help="a simulated time")
    return parser


def _time(text: str) -> datetime.datetime:
    if not text:
        return datetime.datetime.now(datetime.UTC)
    try:
        found = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise SpecError(f"`--now` must be a time. Received: --now {text}", fix="write 2026-01-05T18:00Z") from error
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


if __name__ == "__main__":
    sys.exit(main())
