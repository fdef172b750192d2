"""Turns a candidate and its verdict into a registered version. Doing it again finds the version that is there."""

from __future__ import annotations

import datetime
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow_data_validation as tfdv
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils

from components.decision.record import RegisteredModel
from components.decision.report import GateReport, Verdict
from components.ledger.entries import CHAMPION, Draft, Entry, Event, champion, standing, versions
from components.ledger.ledger import Ledger
from components.registry.champion.executor import SERVING_FOLDER
from components.registry.package import first_example, model_key, served_columns, write_package
from components.registry.projection import ACTOR, write_projection
from components.registry.versions import DAY, KEY, Registry
from components.rollout.queue import Admission, admission, enqueue
from components.rollout.standing import Plan
from components.rollout.store import RolloutStore
from components.tracking.sending import RUN_KEY
from components.tracking.server import model_version_url
from pipelines.outcome import read_outcomes
from pipelines.override import Override
from pipelines.settings import Settings

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

_LINEAGE = ("examples", "statistics", "schema", "transform_graph", "model", "model_run")


@dataclass(frozen=True)
class Candidate:
    day: datetime.date
    label: str
    uris: Mapping[str, str]
    """Folder of each input artifact but the reports."""
    report: GateReport
    """Of the gate that decided."""
    override: Override | None = None
    """Who forced the run past a refusal."""
    rollout: Plan | None = None
    """None: an accepted candidate is promoted without live traffic."""

    @property
    def saved_model(self) -> Path:
        return Path(self.uris["model"]) / SERVING_FOLDER

    def tags(self, key: str) -> dict[str, str]:
        """Where the version comes from: what a colleague needs to find its data and its run again."""
        lineage = {f"daybreak.{name}_uri": self.uris[name] for name in _LINEAGE}
        run = {"daybreak.run_id": os.environ.get("DAYBREAK_RUN_ID", "")}
        return {DAY: str(self.day), KEY: key, "daybreak.verdict": self.report.verdict.value, **run, **lineage}


class RegisterExecutor(BaseExecutor):  # type: ignore[misc]
    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `registration.json`. Raises `TransientError` when ledger or registry do not answer."""
        uris = {name: artifact_utils.get_single_uri(input_dict[name]) for name in _LINEAGE}
        settings, name = Settings.from_environment(), exec_properties["pipeline"]
        override = Override.from_environment()
        reports = [GateReport.read(Path(artifact.uri)) for artifact in input_dict["reports"]]
        refused = any(report.verdict is Verdict.REFUSED for report in reports) or _was_forced(settings, name)
        candidate = Candidate(
            day=datetime.date.fromisoformat(exec_properties["day"]),
            label=exec_properties["label"],
            uris=uris,
            report=GateReport.decisive([report.forced() for report in reports] if override else reports),
            override=override if refused else None,
            rollout=Plan.model_validate_json(exec_properties["rollout"]) if exec_properties.get("rollout") else None,
        )
        registered = register(Registry.connect(settings, name), Ledger.open(settings, name), candidate)
        output = artifact_utils.get_single_instance(output_dict["registration"])
        registered.write(Path(output.uri))
        output.version = registered.version or ""
        print(f"{registered.name} version {registered.version or 'none'}: {registered.reason}")


def _was_forced(settings: Settings, name: str) -> bool:
    """Whether a gate before the training was forced past in this run."""
    outcomes = read_outcomes(settings, name, os.environ.get("DAYBREAK_RUN_ID", ""))
    return any(outcome.override for outcome in outcomes.values())


def register(registry: Registry, ledger: Ledger, candidate: Candidate) -> RegisteredModel:
    """Registers and promotes as far as the verdict allows: the ledger first, then what MLflow shows of it.

    Raises `LedgerConflict` when the ledger changed meanwhile; nothing was promoted then, and a retry reads it again.
    """
    with ledger.turn():
        entries = ledger.entries()
        before = champion(entries, before=candidate.day)
        if candidate.report.verdict is Verdict.REFUSED:
            return _refused(registry, candidate, champion_version=before.version if before else None)
        key = model_key(candidate.saved_model)
        found = registry.find(day=candidate.day, key=key)
        version = found or _create(registry, candidate, key=key)
        admitted = _admission(ledger, candidate, version.version, entries)
        promoted = admitted is Admission.PROMOTE and candidate.report.verdict is Verdict.ACCEPTED
        entries = _enter(ledger, candidate, version.version, entries, promoted=promoted)
        queued = _queue(ledger, candidate, version.version, entries) if admitted is Admission.QUEUE else ""
        noticed = write_projection(registry, ledger, actor=ACTOR)
    aliases = tuple(sorted(alias for alias, at in standing(entries).aliases.items() if at == version.version))
    return RegisteredModel(
        name=registry.name,
        version=version.version,
        aliases=aliases,
        champion_before=before.version if before else None,
        champion_after=version.version if promoted else before.version if before else None,
        reused=found is not None,
        reason=queued or _reason(candidate.report.verdict, aliases),
        url=model_version_url(registry.uri, name=registry.name, version=version.version),
        noticed=tuple(noticed),
    )


def _admission(ledger: Ledger, candidate: Candidate, version: str, entries: tuple[Entry, ...]) -> Admission:
    if candidate.report.verdict is not Verdict.ACCEPTED:
        return Admission.KEEP
    if candidate.rollout is None:
        return Admission.PROMOTE
    known = RolloutStore(ledger.engine).standings(ledger.model)
    return admission(candidate.rollout, entries, day=candidate.day, version=version, known=known)


def _queue(ledger: Ledger, candidate: Candidate, version: str, entries: tuple[Entry, ...]) -> str:
    """In words."""
    live = standing(entries).champion
    assert candidate.rollout is not None and live is not None  # else it was promoted
    rollout = enqueue(
        RolloutStore(ledger.engine),
        candidate.rollout,
        model=ledger.model,
        champion=live,
        version=version,
        actor=ACTOR,
        reason=_verdict(candidate),
        now=datetime.datetime.now(datetime.UTC),
    )
    return f"accepted; registered as challenger for live traffic, rollout {rollout.id}"


def _refused(registry: Registry, candidate: Candidate, *, champion_version: str | None) -> RegisteredModel:
    return RegisteredModel(
        name=registry.name,
        champion_before=champion_version,
        champion_after=champion_version,
        reason=f"not registered, refused: {candidate.report.reason}",
    )


def _verdict(candidate: Candidate) -> str:
    override, report = candidate.override, candidate.report
    reason = f"{report.verdict} by {report.gate}: {report.reason or 'every check passed'}"
    return reason + (f"; forced by {override.user}: {override.reason}" if override else "")


def _enter(
    ledger: Ledger, candidate: Candidate, version: str, entries: tuple[Entry, ...], *, promoted: bool
) -> tuple[Entry, ...]:
    """The rows of this candidate that are not there yet; a day that is run again adds none."""
    override, report = candidate.override, candidate.report
    wanted = [Event.REGISTERED, *([Event.PROMOTED] if promoted else [])]
    before = standing(entries).champion
    drafts = [
        Draft(
            event=event,
            actor=override.user if override and event is Event.PROMOTED else ACTOR,
            reason=_verdict(candidate),
            version=version,
            previous_version=before if event is Event.PROMOTED else None,
            day=candidate.day,
            run_id=os.environ.get("DAYBREAK_RUN_ID", ""),
            verdict=report.verdict.value,
        )
        for event in wanted
        if version not in versions(entries, event)
    ]
    return ledger.append(*drafts, after=entries)


def _reason(verdict: Verdict, aliases: tuple[str, ...]) -> str:
    if verdict is not Verdict.ACCEPTED:
        return f"registered as challenger, not promoted: {verdict.value}"
    if CHAMPION not in aliases:
        return "accepted for its day; what the ledger decided later stays live"
    return "accepted and promoted"


def _create(registry: Registry, candidate: Candidate, *, key: str) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    try:
        registry.client.create_registered_model(registry.name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    model = _log(registry, candidate, key=key)
    return registry.client.create_model_version(
        registry.name,
        source=f"models:/{model.model_id}",
        run_id=model.source_run_id,
        model_id=model.model_id,
        tags=candidate.tags(key),
        description=f"Data day {candidate.day}. {candidate.report.verdict.value.capitalize()}: {candidate.report.reason}",
    )


def _log(registry: Registry, candidate: Candidate, *, key: str) -> LoggedModel:
    """The package as a logged model of the retrain's run."""
    from mlflow.entities import LoggedModelOutput

    client = registry.client
    experiment = client.get_experiment_by_name(registry.name)
    experiment_id = experiment.experiment_id if experiment else client.create_experiment(registry.name)
    run = os.environ.get("DAYBREAK_RUN_ID", "")
    found = client.search_runs([experiment_id], f"tags.`{RUN_KEY}` = '{run}'")
    run_id = found[0].info.run_id if found else None
    model = client.create_logged_model(
        experiment_id, name=f"{registry.name}-{candidate.day}", source_run_id=run_id, tags=candidate.tags(key)
    )
    schema = tfdv.load_schema_text(str(Path(candidate.uris["schema"]) / "schema.pbtxt"))
    with tempfile.TemporaryDirectory() as folder:
        write_package(
            Path(folder),
            saved_model=candidate.saved_model,
            statistics=Path(candidate.uris["statistics"]),
            schema=schema,
            label=candidate.label,
            example=first_example(
                Path(candidate.uris["examples"]),
                schema=schema,
                columns=served_columns(candidate.saved_model),
                label=candidate.label,
            ),
            model_id=model.model_id,
            run_id=run_id,
        )
        client.log_model_artifacts(model.model_id, folder)
    if run_id:
        # Without this the run's page and the list of runs do not show the model.
        client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return client.finalize_logged_model(model.model_id, "READY")
