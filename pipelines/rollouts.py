"""The commands about rollouts: where one stands, and what a person does to it.

    daybreak rollout status shop
    daybreak rollout approve shop --reason "the offline gates are enough"
    daybreak rollout abort shop --reason "revenue fell"
    daybreak rollout tick shop                     # what Airflow does every few minutes
    daybreak serve shop                            # the gateway, by the split document

What a person does is an event in PostgreSQL first; then a tick carries it out. MLflow may be down.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.errors import SpecError
from pipelines.manifest import read_manifest
from pipelines.ml_environment import become_ml
from pipelines.override import current_user
from pipelines.settings import GATEWAY_PORT, Settings
from pipelines.spec import Spec

if TYPE_CHECKING:
    from components.rollout.store import RolloutStore

app = typer.Typer(no_args_is_help=True, help="Live traffic for a candidate, little by little: docs/rollout.md")

Name = Annotated[str, typer.Argument(help="A pipeline with `rollout` in its spec.")]
Maybe = Annotated[str, typer.Argument(help="A pipeline; all by default.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the event log.")]
Now = Annotated[
    str,
    typer.Option(
        help="A simulated time such as 2026-01-05T18:00, UTC unless it says otherwise; by default that of the last tick."
    ),
]


@app.command()
def status(name: Maybe = "") -> None:
    """Where rollouts stand, what the last tick found, and which commands fit."""
    from components.rollout.acting import find_rollout
    from components.rollout.rendering import render_status

    store = _open()
    for model in [name] if name else store.models():
        find_rollout(store, model)  # or says which there are
        for line in render_status(store, store.standings(model)):
            print(line)


@app.command()
def events(
    name: Name,
    rollout: Annotated[str, typer.Option(help="Its id; by default the newest that anybody met.")] = "",
) -> None:
    """Everything that happened to a rollout, oldest first."""
    from components.rollout.acting import find_rollout
    from components.rollout.rendering import render_events

    store = _open()
    for line in render_events(store.events(find_rollout(store, name, rollout).id)):
        print(line)


@app.command()
def start(
    name: Name,
    version: Annotated[str, typer.Option(help="A registered version; by default the newest.")] = "",
    reason: Reason = "started by hand",
    now: Now = "",
) -> None:
    """Queue a version that no gate refused; of an experiment, the champion of the other recipe."""
    from components.rollout.acting import required_reason
    from components.rollout.starting import start_by_hand

    settings, why = Settings.from_environment(), required_reason(reason)
    standing = start_by_hand(
        settings, _spec(settings, name), version=version, actor=current_user(), reason=why, now=_time(now)
    )
    print(f"{standing.id}: version {standing.challenger} is queued against version {standing.champion}")
    _tick(name, now)


@app.command()
def tick(name: Maybe = "", now: Now = "") -> None:
    """Measure, decide, carry out and write what gateways and MLflow show. Exit code 75 when something was not possible."""
    _tick(name, now)


@app.command()
def reconcile(name: Name, now: Now = "") -> None:
    """Write models, split document and aliases again from the rows, and decide nothing."""
    become_ml("components.rollout", ["reconcile", name, *_at(now)])


@app.command()
def approve(name: Name, reason: Reason, rollout: str = "", now: Now = "") -> None:
    """Let users meet a candidate that waits for approval."""
    _act(name, "approve", rollout, now, reason)


@app.command()
def pause(name: Name, reason: Reason, rollout: str = "", now: Now = "") -> None:
    """HOLD: the split stays as it is until somebody resumes; after `max_hold_hours` it is rolled back."""
    _act(name, "pause", rollout, now, reason)


@app.command()
def resume(name: Name, reason: Reason, rollout: str = "", now: Now = "") -> None:
    """Go on from HOLD where it was."""
    _act(name, "resume", rollout, now, reason)


@app.command()
def abort(name: Name, reason: Reason, rollout: str = "", now: Now = "") -> None:
    """Back to the champion. Works with MLflow, the log and training down."""
    _act(name, "abort", rollout, now, reason)


@app.command()
def force(
    name: Name,
    reason: Reason,
    promote: Annotated[bool, typer.Option("--promote", help="To the end, not to the next stage.")] = False,
    rollout: str = "",
    now: Now = "",
) -> None:
    """To the next stage, whatever the statistics say; from the last one to promotion."""
    _act(name, "force --promote" if promote else "force", rollout, now, reason)


@app.command()
def plan(
    name: Name,
    users_per_day: Annotated[float, typer.Option(min=1, help="New users a day, of all traffic.")],
) -> None:
    """How many users and days the margins need, from the newest snapshot, and whether the spec allows them."""
    from components.rollout.planning import render_plan

    settings = Settings.from_environment()
    for line in render_plan(settings, _spec(settings, name), users_per_day=users_per_day):
        print(line)


def serve(
    name: Name,
    port: Annotated[int, typer.Option(help="Of the gateway, on loopback.")] = GATEWAY_PORT,
    simulated_clock: Annotated[bool, typer.Option("--simulated-clock", help="Time is what requests say.")] = False,
) -> None:
    """Serve a pipeline by its split document, and log exposures and outcomes."""
    settings = Settings.from_environment()
    split = settings.state / "serving" / name / "split.json"
    if not split.exists():
        raise SpecError(
            f"there is no split document of {name}. Received: no {split}",
            fix=f"`daybreak rollout reconcile {name}` writes it, once {name} has a champion",
        )
    clock = ["--simulated-clock"] if simulated_clock else []
    log = settings.state / "exposures"
    become_ml("components.gateway", ["--split", str(split), "--log", str(log), "--port", str(port), *clock])


def _act(name: str, action: str, rollout: str, now: str, reason: str) -> None:
    from components.rollout.acting import act

    store = _open()
    time = _time(now) if now else _clock(store, name)
    before, after = act(store, name, action, actor=current_user(), reason=reason, now=time, rollout=rollout)
    print(f"{after.id}: {after.state}, before it {before.state}")
    _tick(name, now)


def _clock(store: RolloutStore, name: str) -> datetime:
    """Of a simulated pipeline the time of its last tick."""
    from components.rollout.clock import latest

    known = store.standings(name)
    simulated = bool(known) and known[-1].plan.simulated
    return (latest(store, name) if simulated else None) or datetime.now(UTC)


def _tick(name: str, now: str) -> None:
    become_ml("components.rollout", ["tick", *([name] if name else []), *_at(now)])


def _at(now: str) -> list[str]:
    return ["--now", _time(now).isoformat()] if now else []


def _open() -> RolloutStore:
    from components.ledger.database import COMMAND_PATIENCE_SECS
    from components.rollout.store import RolloutStore

    return RolloutStore.open(Settings.from_environment(), patience_secs=COMMAND_PATIENCE_SECS)


def _spec(settings: Settings, name: str) -> Spec:
    spec = Spec.model_validate(read_manifest(settings.manifests / f"{name}.json").spec)
    if spec.rollout is None:
        raise SpecError(
            f"`rollout` says how users meet a candidate. Received: pipeline {name} without it",
            fix=f"declare it in pipelines/{name}/pipeline.yaml (docs/rollout.md), then `daybreak compile {name}`",
        )
    return spec


def _time(text: str) -> datetime:
    if not text:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise SpecError(
            f"`--now` must be a time such as 2026-01-05T18:00. Received: --now {text}", fix="correct it"
        ) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
