"""The commands about decisions: who is champion and why, another one by hand, and what was decided about a day.

    daybreak champion shop --history
    daybreak rollback shop --reason "revenue fell since the morning"
    daybreak promote shop --version 7 --reason "the interval is wide, the direction is right"
    daybreak explain shop --day 2026-01-05

The ledger is written first and needs PostgreSQL only; MLflow is told when it answers, now or by the next retrain.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.errors import DaybreakError, SpecError, bounded
from pipelines.override import current_user
from pipelines.settings import Settings

if TYPE_CHECKING:
    from components.ledger.entries import Draft, Entry
    from components.ledger.ledger import Ledger

Name = Annotated[str, typer.Argument(help="A pipeline.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the ledger.")]


def champion(
    name: Name,
    at: Annotated[str, typer.Option(help="A time such as 2026-01-05T18:00, UTC unless it says otherwise.")] = "",
    history: Annotated[bool, typer.Option("--history", help="Every row of the ledger.")] = False,
    reconcile: Annotated[bool, typer.Option("--reconcile", help="Write the aliases in MLflow again.")] = False,
) -> None:
    """Who is champion, since when and why; or who was it at a time."""
    from components.ledger.rendering import render_champion, render_history

    settings = Settings.from_environment()
    ledger = _open(settings, name)
    noticed = _reconcile(settings, ledger, must=reconcile) if not at else []
    entries = ledger.entries(at=_time(at) if at else None)
    if not ledger.entries():
        raise _unknown(settings, ledger)
    for line in render_champion(name, entries, settings) if not history else render_history(entries):
        print(line)
    for text in noticed:
        print(f"noticed  {text}")


def rollback(
    name: Name,
    reason: Reason,
    to: Annotated[str, typer.Option(help="A version that was champion; by default the one before.")] = "",
) -> None:
    """Make an earlier champion the champion again. Works while training and MLflow are down."""
    from components.ledger.entries import CHANGES, Draft, Event, standing, versions
    from components.ledger.entries import champion as champion_of

    settings = Settings.from_environment()
    ledger = _open(settings, name)
    entries = ledger.entries()
    now, made_by = standing(entries), champion_of(entries)
    if made_by is None or now.champion is None:
        raise _unknown(settings, ledger)
    target = to or now.previous
    if target is None:
        raise SpecError(
            f"there is no champion before version {now.champion} of {name} to roll back to",
            fix=f"train another one, or `daybreak promote {name} --version V --reason TEXT`",
        )
    known = [version for version in versions(entries, *CHANGES) if version != now.champion]
    if target not in known:
        raise SpecError(
            f"`--to` must be a version that was champion: {bounded(known) or 'there is none'}. Received: --to {target}",
            fix=f"see `daybreak champion {name} --history`",
        )
    draft = Draft(
        event=Event.ROLLED_BACK,
        actor=current_user(),
        reason=_said(reason),
        version=target,
        previous_version=now.champion,
        day=made_by.day,
    )
    _append(settings, ledger, draft, entries)
    print(f"{name}: version {now.champion} was rolled back, version {target} is champion")


def promote(
    name: Name,
    version: Annotated[str, typer.Option(help="A registered version.")],
    reason: Reason,
) -> None:
    """Approve a registered version that no gate refused, such as one that ended inconclusive."""
    from components.ledger.entries import Draft, Event, standing, versions
    from components.ledger.entries import champion as champion_of

    settings = Settings.from_environment()
    ledger = _open(settings, name)
    entries = ledger.entries()
    if not entries:
        raise _unknown(settings, ledger)
    registered = versions(entries, Event.REGISTERED)
    if version not in registered:
        raise SpecError(
            f"`--version` must be a registered one: {bounded(reversed(registered)) or 'there is none'}. "
            f"Received: --version {version}",
            fix=f"see `daybreak champion {name} --history`",
        )
    before, made_by = standing(entries).champion, champion_of(entries)
    if version == before:
        raise SpecError(f"version {version} of {name} is champion already", fix="there is nothing to do")
    own = next(entry.day for entry in entries if entry.event is Event.REGISTERED and entry.version == version)
    days = [day for day in (own, made_by.day if made_by else None) if day]
    draft = Draft(
        event=Event.PROMOTED,
        actor=current_user(),
        reason=_said(reason),
        version=version,
        previous_version=before,
        day=max(days),
    )
    _append(settings, ledger, draft, entries)
    print(f"{name}: version {version} is champion, before it {before or 'none'}")


def explain(
    name: Name,
    date: Annotated[datetime, typer.Option("--day", formats=["%Y-%m-%d"], help="The data day.")],
    run_id: Annotated[str, typer.Option(help="One run of that day; by default the newest.")] = "",
) -> None:
    """What was decided about a day, and why: gate by gate, check by check."""
    from components.decision.record import decision_path, latest_record, read_record
    from components.decision.rendering import render_text

    settings, day = Settings.from_environment(), date.date().isoformat()
    path = decision_path(settings, name, run_id) if run_id else None
    record = (read_record(path) if path.exists() else None) if path else latest_record(settings, name, day)
    if record is None:
        raise SpecError(
            f"there is no decision record. Received: pipeline {name}, day {day}"
            + (f", run {run_id}" if run_id else ""),
            fix=f"`daybreak run {name} --day {day}`, or look for other days in {settings.runs / name}",
        )
    print(render_text(record), end="")


def migrate_ledger(settings: Settings) -> None:
    """Makes or updates its tables, for `daybreak up`."""
    from components.ledger.database import open_database

    open_database(settings).dispose()


def _open(settings: Settings, name: str) -> Ledger:
    from components.ledger.database import COMMAND_PATIENCE_SECS
    from components.ledger.ledger import Ledger

    return Ledger.open(settings, name, patience_secs=COMMAND_PATIENCE_SECS)


def _append(settings: Settings, ledger: Ledger, draft: Draft, entries: Sequence[Entry]) -> None:
    ledger.append(draft, after=entries)
    _reconcile(settings, ledger, must=False, tell=True)


def _reconcile(settings: Settings, ledger: Ledger, *, must: bool, tell: bool = False) -> list[str]:
    """Tells MLflow; when it does not answer, only `must` is an error."""
    from components.registry.projection import reconcile
    from components.registry.versions import Registry

    try:
        noticed = reconcile(Registry.connect(settings, ledger.model), ledger, actor=current_user())
    except DaybreakError as error:
        if must:
            raise
        if tell:
            print(
                f"MLflow does not show it yet ({error.message}); `daybreak champion {ledger.model} --reconcile` tells it"
            )
        return []
    return noticed


def _said(reason: str) -> str:
    text = " ".join(reason.split())
    if not text:
        raise SpecError("`--reason` says why, for those who read the ledger. Received: nothing", fix="--reason TEXT")
    return text[:1000]


def _time(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise SpecError(
            f"`--at` must be a time such as 2026-01-05T18:00. Received: --at {text}", fix="correct it"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _unknown(settings: Settings, ledger: Ledger) -> DaybreakError:
    name, known = ledger.model, ledger.models()
    if name in known or (settings.manifests / f"{name}.json").exists():
        return SpecError(
            f"{name} has no champion: no retrain of it was accepted",
            fix=f"`daybreak run {name} --day YYYY-MM-DD`, then `daybreak explain {name} --day YYYY-MM-DD`",
        )
    return SpecError(
        f"NAME must be a pipeline with a row in the ledger: {bounded(known) or 'there is none'}. Received: {name}",
        fix="correct the name, or retrain a day of it first",
    )
