"""One nested run per node: what it was given, what came out, what it cost; and the parent that names the retrain.

    url = report_outcome(outcome, settings=settings)

Called by the node runner after each try. Everything goes to the outbox first; a server that is down costs one failed
connection and is told later, by the next node or by the conclusion.
"""

from __future__ import annotations

import hashlib
import logging
import os

from components.tracking.notes import node_note, progress_note
from components.tracking.outbox import RUN, Event, Outbox
from components.tracking.pages import publish
from components.tracking.sending import send
from components.tracking.tracker import Tracker
from pipelines.errors import SpecError
from pipelines.manifest import Manifest, read_manifest
from pipelines.outcome import ArtifactRef, Outcome, State, read_outcomes
from pipelines.settings import Settings

_log = logging.getLogger(__name__)

NOTE = "mlflow.note.content"
LOCK_WAIT_SECS = 20.0
_CONTEXTS = {"RawDay": "raw", "Examples": "examples", "ExampleStatistics": "statistics"}


def report_outcome(outcome: Outcome, *, settings: Settings) -> str:
    """Reports one try of a node; returns its page, or "" when the server could not be told yet. Never raises."""
    try:
        outbox = Outbox.of(settings, pipeline=outcome.pipeline, run_id=outcome.run_id, scope=outcome.node)
        _describe_run(outcome, settings)
        _describe_node(outcome, Tracker(outbox))
        return _send_all(outbox, settings)
    except Exception:  # noqa: BLE001 - tracking never fails a node
        _log.warning("%s ended as %s, yet tracking failed", outcome.node, outcome.state.value, exc_info=True)
        return ""


def run_start(*, pipeline: str, day: str, simulated: bool = False) -> Event:
    """The event that names the parent run and makes it findable by pipeline, day and Airflow run."""
    tags = {"daybreak.pipeline": pipeline, "daybreak.day": day, "daybreak.simulated": str(simulated).lower()}
    for name in ("AIRFLOW_CTX_DAG_RUN_ID", "DAYBREAK_AIRFLOW_RUN"):
        if airflow_run := os.environ.get(name):
            tags["daybreak.airflow_run"] = airflow_run
    return {"kind": "start", "name": f"{pipeline} {day}", "tags": tags}


def manifest_of(settings: Settings, pipeline: str) -> Manifest | None:
    try:
        return read_manifest(settings.manifests / f"{pipeline}.json")
    except SpecError:
        return None


def _describe_run(outcome: Outcome, settings: Settings) -> None:
    """The parent: opened once, its note rewritten with what ended so far."""
    outbox = Outbox.of(settings, pipeline=outcome.pipeline, run_id=outcome.run_id, scope=RUN)
    manifest = manifest_of(settings, outcome.pipeline)
    simulated = bool(manifest and manifest.simulated)
    if not _is_open(outbox):
        outbox.append(run_start(pipeline=outcome.pipeline, day=outcome.day, simulated=simulated))
    tracker = Tracker(outbox)
    outcomes = read_outcomes(settings, outcome.pipeline, outcome.run_id) | {outcome.node: outcome}
    nodes = [node.id for node in manifest.nodes] if manifest else list(outcomes)
    tracker.log_tags({NOTE: progress_note(outcomes, nodes=nodes, simulated=simulated)})
    tracker.log_params(outcome.parameters)


def _is_open(outbox: Outbox) -> bool:
    """True when the newest start or end of the run is a start that names it."""
    marks = [event for _, event in outbox.read() if event["kind"] in {"start", "end"}]
    return bool(marks) and marks[-1]["kind"] == "start" and "name" in marks[-1]


def _describe_node(outcome: Outcome, tracker: Tracker) -> None:
    assert tracker.outbox is not None
    again = any(event["kind"] == "end" for _, event in tracker.outbox.read())
    tracker.outbox.append({"kind": "start", "at": round(outcome.started * 1000), "name": outcome.node})
    # An empty tag only takes back what an earlier try said.
    tracker.log_tags({name: value for name, value in _tags(outcome).items() if value or again})
    tracker.log_params(outcome.parameters)
    tracker.log_metrics(
        {
            "system/seconds": outcome.seconds,
            "system/cpu_seconds": outcome.cpu_secs,
            "system/peak_memory_megabytes": outcome.peak_memory_bytes / 1e6,
        }
    )
    if outcome.state is not State.CACHED:
        _log_datasets(outcome, tracker)
        for key, artifacts in outcome.outputs.items():
            for index, artifact in enumerate(artifacts):
                publish(key if index == 0 else f"{key}_{index}", artifact, tracker)
    status = "FAILED" if outcome.state is State.FAILED else "FINISHED"
    tracker.outbox.append({"kind": "end", "at": round(outcome.ended * 1000), "status": status})


def _tags(outcome: Outcome) -> dict[str, object]:
    return {
        "daybreak.node": outcome.node,
        "daybreak.stage": outcome.stage,
        "daybreak.day": outcome.day,
        "daybreak.state": outcome.state.value,
        "daybreak.exit_code": str(outcome.exit_code),
        "daybreak.cache": outcome.cache,
        "daybreak.error": outcome.error,
        NOTE: node_note(outcome),
    }


def _log_datasets(outcome: Outcome, tracker: Tracker) -> None:
    """What the node read, by the address of the artifact, which TFX never writes twice."""
    for key, artifacts in outcome.inputs.items():
        for artifact in artifacts:
            if artifact.type in _CONTEXTS:
                _log_dataset(key, artifact, outcome, tracker)


def _log_dataset(key: str, artifact: ArtifactRef, outcome: Outcome, tracker: Tracker) -> None:
    tracker.log_dataset(
        name=f"{outcome.pipeline} {outcome.day} {key}",
        digest=hashlib.sha256(artifact.uri.encode()).hexdigest()[:16],
        source=artifact.uri,
        context=_CONTEXTS[artifact.type],
        profile={name: value for name, value in artifact.properties.items() if name != "split_names"},
    )


def _send_all(outbox: Outbox, settings: Settings) -> str:
    """This node first, then the parent, then what other nodes of the run could not send."""
    sent = send(outbox, settings=settings, wait_secs=LOCK_WAIT_SECS)
    if sent.left:
        _log.info("%d tracking events wait in %s: %s", sent.left, outbox.folder, sent.error)
        return sent.url
    for other in Outbox.of_run(settings, pipeline=outbox.pipeline, run_id=outbox.run_id):
        if other.scope != outbox.scope:
            send(other, settings=settings, wait_secs=0)
    return sent.url
