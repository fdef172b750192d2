"""What of rollouts needs the ML environment.

python -m components.rollout tick [shop] [--now 2026-01-05T18:00Z]
python -m components.rollout reconcile shop
python -m components.rollout act shop abort --actor ann --reason "revenue fell"     # then a tick
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from components.rollout.acting import act
from components.rollout.clock import latest
from components.rollout.measuring import measure_from_log
from components.rollout.reporting import write_report
from components.rollout.ticking import Report, Ticker
from pipelines.errors import DaybreakError, SpecError, TransientError, one_line
from pipelines.manifest import read_manifest
from pipelines.settings import Settings

LATEST = "latest"


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    settings, code = Settings.from_environment(), 0
    for name in [arguments.name] if arguments.name else models(settings):
        try:
            report = _work(arguments, settings, name)
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


def _work(arguments: argparse.Namespace, settings: Settings, name: str) -> Report:
    from sqlalchemy.exc import DBAPIError

    try:
        ticker = Ticker.open(settings, name, measure=measure_from_log(settings))
        now = _now(arguments, ticker)
        if arguments.command == "reconcile":
            return ticker.reconcile(now=now)
        if arguments.command == "act":
            _act(arguments, ticker, now)
        report = ticker.tick(now=now)
        if arguments.report:
            write_report(arguments.report, ticker.store, name, report, now=now)
        return report
    except DBAPIError as error:
        raise TransientError(
            f"the database failed during the {arguments.command} of {name}: {one_line(error)}",
            fix="see `daybreak status`; the next tick goes on where this one was",
        ) from error


def _act(arguments: argparse.Namespace, ticker: Ticker, now: datetime.datetime) -> None:
    before, after = act(
        ticker.store,
        ticker.model,
        arguments.action,
        actor=arguments.actor,
        reason=arguments.reason,
        now=now,
        rollout=arguments.rollout,
    )
    print(f"{after.id}: {after.state}, before it {before.state}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="daybreak rollout")
    commands = parser.add_subparsers(dest="command", required=True)
    tick = commands.add_parser("tick", help="measure, decide, carry out, project")
    tick.add_argument("name", nargs="?", default="")
    reconcile = commands.add_parser("reconcile", help="project only")
    reconcile.add_argument("name")
    acting = commands.add_parser("act", help="what a person does, then a tick")
    acting.add_argument("name")
    acting.add_argument("action", help="approve, pause, resume, abort, force, `force --promote`")
    acting.add_argument("--rollout", default="", help="its id; by default the one under way")
    acting.add_argument("--actor", required=True)
    acting.add_argument("--reason", required=True)
    for command in (tick, acting):
        command.add_argument("--report", type=Path, help="JSON file: what was done, and what waits for somebody")
    for command in (tick, reconcile, acting):
        command.add_argument(
            "--now",
            default="",
            help="a simulated time; `latest`, and by default of a simulated pipeline: that of the last tick",
        )
        command.add_argument("--at-least", default="", help="with `--now latest`: not before this time")
    return parser


def _now(arguments: argparse.Namespace, ticker: Ticker) -> datetime.datetime:
    if arguments.now != LATEST and (arguments.now or not ticker.spec.simulated):
        return _time(arguments.now)
    at_least = _time(arguments.at_least) if arguments.at_least else None
    return latest(ticker.store, ticker.model, at_least=at_least) or _time("")


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
