"""Two processes tick the same rollouts and are killed; afterwards one more tick, and everything must agree.

    python -m tests.components.rollout.killing --trials 60 --seed 1

Real processes, a real PostgreSQL, a registry in a file. Prints the number of kills and of violations.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.ledger.database import DATABASE_VARIABLE
from components.ledger.entries import Event, standing
from components.ledger.ledger import Ledger, LedgerConflict
from components.rollout import commands, projection, ticking
from components.rollout.completing import ledger_actor
from components.rollout.deciding import Decision
from components.rollout.deployment import Deployment
from components.rollout.events import Change, replay
from components.rollout.pointers import HOLDBACK, rollout_aliases
from components.rollout.snapshot import Snapshot
from components.rollout.splitting import Served, make_split
from components.rollout.standing import Standing, State
from components.rollout.store import RolloutConflict, RolloutStore
from components.rollout.ticking import Ticker
from pipelines.settings import Settings
from tests.components.ledger.writing import draft
from tests.components.rollout.registry import FileRegistry
from tests.components.rollout.ticks import champion_and_candidates, make_ticker, split_of, step_on, without_times
from tests.components.rollout.writing import after, begin

TERMS: dict[str, Any] = {"holdback": 0.02, "stages": (0.1, 0.4)}
POINTS: tuple[tuple[Any, str], ...] = (
    (RolloutStore, "apply"),
    (RolloutStore, "remember"),
    (Ledger, "append"),
    (Ledger, "remember"),
    (Ledger, "turn"),
    (Deployment, "_make"),
    (Deployment, "remove_others"),
    (projection.Projection, "_write_split"),
    (projection, "write_split"),
    (projection, "write_projection"),
    (FileRegistry, "set_alias"),
    (FileRegistry, "tag"),
)


@dataclass(frozen=True)
class Kill:
    """At the `times`-th call of `owner.name`: before it, or when it has returned."""

    owner: Any
    name: str
    times: int
    before: bool

    def arm(self) -> None:
        real, left = getattr(self.owner, self.name), [self.times]

        def dying(*arguments: Any, **more: Any) -> Any:
            left[0] -= 1
            if left[0] == 0 and self.before:
                os.kill(os.getpid(), signal.SIGKILL)
            found = real(*arguments, **more)
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return found

        setattr(self.owner, self.name, dying)


def all_kills() -> Iterator[Kill]:
    for owner, name in POINTS:
        for times in (1, 2, 4):
            for before in (True, False):
                yield Kill(owner, name, times, before)


def moody(standing_: Standing, snapshot: Snapshot | None, *, now: Any) -> Decision:
    """One step on, or sometimes back; the same answer for the same row."""
    if snapshot is not None and random.Random(f"{standing_.id}{standing_.seq}").random() < 0.15:
        return Decision(state=State.ROLLING_BACK, stage=standing_.stage, code="harm", reason="it harms", moves=True)
    return step_on(standing_, snapshot, now=now)


def prepare(settings: Settings, ledger: Ledger) -> None:
    champion_and_candidates(ledger, "2")
    begin(RolloutStore(ledger.engine), ledger.model, **TERMS)


def work(settings: Settings, ledger: Ledger, *, seed: int, ticks: int) -> None:
    """Ticks; now and then a new candidate is queued, or a person aborts."""
    ticker, _ = make_ticker(settings, ledger, **TERMS)
    dice = random.Random(seed)
    for minute in range(ticks):
        ticker.tick(now=after(minute))
        if dice.random() < 0.2:
            _interfere(ticker, dice, minute)


def _interfere(ticker: Ticker, dice: random.Random, minute: int) -> None:
    try:
        active = ticker.store.active(ticker.model)
        if active and dice.random() < 0.3 and "abort" in commands.possible(active):
            ticker.store.apply(active, Change.of(commands.abort(active, reason="r"), now=after(minute)), actor="ann")
            return
        version = str(dice.randrange(10, 10_000))
        ticker.ledger.append(draft(Event.REGISTERED, version, 7), after=ticker.ledger.entries())
        begin(ticker.store, ticker.model, version, **TERMS)
    except (RolloutConflict, LedgerConflict):
        pass


def fork(settings: Settings, ledger: Ledger, *, seed: int, ticks: int, kill: Kill | None = None) -> int:
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        if kill:
            kill.arm()
        work(settings, ledger, seed=seed, ticks=ticks)
        code = 0
    finally:
        os._exit(code)


def trial(settings: Settings, ledger: Ledger, *, seed: int, kill: Kill | None = None) -> tuple[int, list[str]]:
    """Kills that hit, and what was wrong after one more tick."""
    dice = random.Random(seed)
    ticking.decide = moody  # inherited by the children
    prepare(settings, ledger)
    kills = 0
    for round_ in range(1 if kill else 3):
        children = [
            fork(settings, ledger, seed=seed * 100 + 10 * round_ + number, ticks=8, kill=kill if number == 0 else None)
            for number in range(2)
        ]
        if kill is None:
            for child in children:
                time.sleep(dice.uniform(0.05, 0.6))
                os.kill(child, signal.SIGKILL)
        ends = [os.waitpid(child, 0)[1] for child in children]
        kills += sum(os.WIFSIGNALED(end) for end in ends)
        if any(os.WIFEXITED(end) and os.WEXITSTATUS(end) for end in ends):
            return kills, ["a worker ended with an error"]
    ticker, registry = make_ticker(settings, ledger, **TERMS)
    problems = ticker.tick(now=after(100)).problems
    return kills, [*problems, *violations(ticker, registry)]


def violations(ticker: Ticker, registry: FileRegistry) -> list[str]:
    """Of the row, the events, the ledger, the split document, the models and the aliases."""
    found = []
    store, entries = ticker.store, ticker.ledger.entries()
    rollouts = store.standings(ticker.model)
    for rollout in rollouts:
        events = store.events(rollout.id)
        if [event.seq for event in events] != list(range(1, rollout.seq + 1)):
            found.append(f"{rollout.id}: numbers of events {[event.seq for event in events]}, row {rollout.seq}")
        if replay(events) != rollout:
            found.append(f"{rollout.id}: replay differs from the row")
        own = [entry.event for entry in entries if entry.actor == ledger_actor(rollout)]
        if own.count(Event.PROMOTED) > 1 or own.count(Event.ROLLED_BACK) > 1:
            found.append(f"{rollout.id}: written twice to the ledger: {own}")
        if (rollout.state in (State.WATCH, State.PROMOTED)) != (own == [Event.PROMOTED]):
            found.append(f"{rollout.id}: {rollout.state} and in the ledger {own}")
    if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
        found.append("the ledger has gaps")
    if any(entry.event is Event.ALIAS_MOVED for entry in entries):
        found.append("what a killed process left was taken for a person's work")
    return found + _projection_violations(ticker, registry)


def _projection_violations(ticker: Ticker, registry: FileRegistry) -> list[str]:
    found = []
    entries, active = ticker.ledger.entries(), ticker.store.active(ticker.model)
    split, champion = split_of(ticker), standing(entries).champion
    uris = {model.version: model.uri for model in split.models}
    served = Served(
        ticker.model,
        str(champion),
        ticker.spec.rollout,
        ticker.spec.policy,
        active,
        "1",  # type: ignore[arg-type]
    )
    if without_times(split) != without_times(make_split(served, uris=uris, version=0, now=after(100))):
        found.append(f"the split document is not the row's: {split}")
    for version, uri in uris.items():
        if (Path(uri) / "saved_model.pb").read_text() != version:
            found.append(f"version {version} is not whole")
    wanted = {**standing(entries).aliases, **rollout_aliases(ticker.ledger.engine, ticker.model)}
    if registry.aliases(tuple(wanted)) != wanted or wanted[HOLDBACK] != "1":
        found.append(f"aliases are {registry.aliases(tuple(wanted))}, wanted {wanted}")
    return found


def main() -> int:
    from tests.postgres import postgres_server

    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    kills = bad = 0
    points = list(all_kills())
    with postgres_server() as server, tempfile.TemporaryDirectory() as folder:
        os.environ[DATABASE_VARIABLE] = server.new_database()
        for number in range(options.trials + len(points)):
            settings = Settings(home=Path(folder), state=Path(folder) / str(number))
            kill = points[number] if number < len(points) else None
            ledger = Ledger.open(settings, f"toy{number}")
            hits, wrong = trial(settings, ledger, seed=options.seed + number, kill=kill)
            kills, bad = kills + hits, bad + bool(wrong)
            if wrong:
                print(number, kill, wrong, flush=True)
    print(f"{len(points)} trials at injection points, {options.trials} at random: {kills} kills, {bad} violated")
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
