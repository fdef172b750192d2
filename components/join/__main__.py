"""From the log to what decides and to what the next model learns from.

python -m components.join snapshot shop --rollout shop-7 --as-of 2026-01-06T00:00Z
python -m components.join day shop --day 2026-01-05
"""

from __future__ import annotations

import argparse
import datetime
import sys
from pathlib import Path

from components.exposures.reading import default_log
from components.join.snapshots import first_exposure, kept_snapshot, settle
from components.join.training_day import write_day
from pipelines.cluster import beam_args, chosen
from pipelines.errors import DaybreakError, SpecError
from pipelines.settings import Settings
from pipelines.spec import load_spec


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        settings = Settings.from_environment()
        log = arguments.log or default_log(settings)
        _snapshot(arguments, log, settings) if arguments.command == "snapshot" else _day(arguments, log, settings)
    except DaybreakError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m components.join", description="What the exposure log tells.")
    commands = parser.add_subparsers(dest="command", required=True)
    snapshot = commands.add_parser("snapshot", help="what is known of a rollout at a time")
    snapshot.add_argument("--rollout", required=True, help="its id")
    snapshot.add_argument("--as-of", default="", help="such as 2026-01-06T00:00Z (default: now)")
    snapshot.add_argument("--since", default="", help="when it began (default: its first exposure)")
    day = commands.add_parser("day", help="a day's rows, lists and items, where the pipeline reads them")
    day.add_argument("--day", required=True, help="such as 2026-01-05")
    for command in (snapshot, day):
        command.add_argument("name", help="of the pipeline")
        command.add_argument("--log", type=Path, default=None, help="default: <state>/exposures")
    return parser


def _snapshot(arguments: argparse.Namespace, log: Path, settings: Settings) -> None:
    spec = load_spec(arguments.name)
    as_of = _time(arguments.as_of, "--as-of") if arguments.as_of else datetime.datetime.now(datetime.UTC)
    if not arguments.since:
        settle(log)
    path, snapshot = kept_snapshot(
        spec,
        log=log,
        state=settings.state,
        rollout_id=arguments.rollout,
        as_of=as_of,
        since=_time(arguments.since, "--since") if arguments.since else first_exposure(log, arguments.rollout),
        beam_args=beam_args(chosen(spec.cluster), settings),
    )
    for kpi in snapshot.kpis:
        print(f"{kpi.name}: {kpi.control.n} units of control, {kpi.treatment.n} of treatment")
    print(f"{path}  {snapshot.digest}")


def _day(arguments: argparse.Namespace, log: Path, settings: Settings) -> None:
    spec = load_spec(arguments.name)
    try:
        day = datetime.date.fromisoformat(arguments.day)
    except ValueError as error:
        raise SpecError(
            f"`--day` must be a date. Received: --day={arguments.day}", fix="write it as YYYY-MM-DD"
        ) from error
    arguments_of_beam = beam_args(chosen(spec.cluster), settings)
    found = write_day(spec, log=log, day=day, settings=settings, beam_args=arguments_of_beam)
    print(f"{day}: {found.rows} rows of {found.lists} lists, {found.items} items, {found.left_out} lists left out")


def _time(text: str, argument: str) -> datetime.datetime:
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise SpecError(
            f"`{argument}` must be a time. Received: {argument}={text}", fix="write it as 2026-01-06T00:00Z"
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=datetime.UTC)


if __name__ == "__main__":
    sys.exit(main())
