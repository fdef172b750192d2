"""What the world sees of a rollout: models laid out, the split document, aliases and tags in MLflow.

    with ledger.turn():
        problems = Projection(settings, ledger, store, fetch=fetch, connect=connect).write(spec, now=now)

Level-triggered: each time the whole state is compared and written from the current rows, so that a writer killed at any
point is mended by the next one. MLflow may be down: the document is written as long as the models are laid out.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from components.assignment.split import Split, read_split, write_split
from components.ledger.entries import standing as ledger_standing
from components.ledger.ledger import Ledger
from components.registry.projection import write_projection
from components.registry.versions import Registry
from components.rollout.deployment import Deployment, Fetch, split_path
from components.rollout.endpoints import Endpoints, deployment_of
from components.rollout.splitting import Served, holdback_version, make_split, needed_versions
from components.rollout.store import RolloutStore
from pipelines.errors import DaybreakError, SpecError, one_line
from pipelines.settings import Settings
from pipelines.spec import Spec

TAG = "daybreak.rollout"
"""Of a version: the rollout it was challenger of, and where that stands."""

Connect = Callable[[str], Registry]


@dataclass(frozen=True)
class Projection:
    settings: Settings
    ledger: Ledger
    store: RolloutStore
    fetch: Fetch
    connect: Connect

    @property
    def model(self) -> str:
        return self.ledger.model

    def write(self, spec: Spec, *, now: datetime.datetime, actor: str = "tick") -> list[str]:
        """Who calls has the ledger's turn. Returns what could not be done, in words; the next call tries again."""
        problems: list[str] = []
        served = self._served(spec, now)
        if served is None:
            problems.append(f"{self.model} has no champion yet: nothing is served")
        else:
            # Servers may move while a rollout goes on, whose plan keeps the terms that it began with.
            problems += self._serve(served, deployment_of(self.settings, self.model, spec.rollout or served.terms), now)
        return problems + self._show(actor)

    def _served(self, spec: Spec, now: datetime.datetime) -> Served | None:
        entries = self.ledger.entries()
        champion, active = ledger_standing(entries).champion, self.store.active(self.model)
        terms = active.plan.terms if active else spec.rollout
        if terms is None:
            known = self.store.standings(self.model)
            terms = known[-1].plan.terms if known else None
        if terms is None:
            raise SpecError(
                f"{self.model} is not served by arms: its spec has no `rollout`",
                fix=f"declare `rollout` in pipelines/{self.model}/pipeline.yaml, then `daybreak compile {self.model}`",
            )
        if champion is None:
            return None
        holdback = holdback_version(entries, now) if terms.holdback else None
        return Served(self.model, champion, terms, policy=spec.policy, rollout=active, holdback=holdback)

    def _serve(self, served: Served, deployment: Deployment | Endpoints, now: datetime.datetime) -> list[str]:
        needed = needed_versions(served)
        spare = ledger_standing(self.ledger.entries()).previous  # a rollback needs it, and perhaps without MLflow
        failed = deployment.lay_out(needed | ({spare} if spare else set()), self.fetch)
        problems = [str(failed[version]) for version in sorted(needed & set(failed))]
        if served.champion in failed:
            return [*problems, f"the split document of {self.model} stays as it was: its champion is not there"]
        uris = {version: deployment.uri(version) for version in needed - set(failed)}
        self._write_split(make_split(served, uris=uris, version=self._next_version(), now=now))
        deployment.remove_others(needed | ({spare} if spare else set()))
        return problems

    def _next_version(self) -> int:
        """Above all that were written, also by a database that was lost since."""
        from sqlalchemy import select

        from components.rollout.tables import split_projection as table

        with self.store.engine.connect() as connection:
            known = connection.scalar(select(table.c.version).where(table.c.model == self.model)) or 0
        try:
            there = read_split(split_path(self.settings, self.model)).version
        except SpecError:
            there = 0
        return max(int(known), there) + 1

    def _write_split(self, split: Split) -> None:
        from sqlalchemy.dialects.postgresql import insert

        from components.rollout.tables import split_projection as table

        values: dict[str, Any] = {
            "version": split.version,
            "holdback": split.holdback.version if split.holdback else None,
            "document": json.loads(msgspec.json.encode(split)),
        }
        statement = insert(table).values(model=self.model, **values)
        with self.store.engine.begin() as connection:
            connection.execute(statement.on_conflict_do_update(index_elements=[table.c.model], set_=values))
        write_split(split_path(self.settings, self.model), split)

    def _show(self, actor: str) -> list[str]:
        """Aliases and tags; MLflow being down changes nobody's traffic."""
        from mlflow.exceptions import MlflowException

        try:
            registry = self.connect(self.model)
            noticed = write_projection(registry, self.ledger, actor=actor)
            self._tag(registry)
        except (DaybreakError, MlflowException, OSError) as error:
            return [f"MLflow does not show it yet: {one_line(error)}"]
        return noticed

    def _tag(self, registry: Registry) -> None:
        for rollout in self.store.untagged(self.model):
            if "@" not in rollout.challenger:
                registry.tag(rollout.challenger, TAG, f"{rollout.id}: {rollout.state}")
            self.store.remember(rollout.id, tagged=rollout.seq)


def fetch_from(connect: Connect, model: str) -> Fetch:
    """SavedModels from the registry, also those of another recipe."""
    import shutil
    import tempfile

    from components.registry.download import download_package
    from components.registry.package import SAVED_MODEL
    from components.rollout.versions import split_version

    def fetch(version: str, folder: Path) -> None:
        name, number = split_version(model, version)
        registry = connect(name)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".fetch") as temporary:
            package = download_package(registry, registry.version(number), Path(temporary))
            shutil.copytree(package / SAVED_MODEL, folder, dirs_exist_ok=True)

    return fetch
