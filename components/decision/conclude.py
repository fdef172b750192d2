"""The end of a retrain, whatever happened: the decision record, then the whole story in MLflow.

    exit_code = conclude(manifest, settings, run_id="shop-2026-01-05-1a2b3c4d", day="2026-01-05")

Reads what the nodes left behind and computes nothing, so it can be repeated. The record is on disk before the ledger and
the tracking server are told anything.
"""

from __future__ import annotations

import contextlib
import datetime
import sys

from components.decision.record import DecisionRecord, compose
from components.decision.rendering import headline, render_markdown, render_text
from components.ledger.database import COMMAND_PATIENCE_SECS, is_configured
from components.ledger.entries import Draft, Event
from components.ledger.ledger import Ledger, LedgerConflict
from components.tracking.nodes import NOTE, manifest_of, run_start
from components.tracking.outbox import RUN, Outbox
from components.tracking.sending import send
from components.tracking.server import tracking_uri
from components.tracking.tracker import Tracker
from pipelines.errors import DaybreakError, TransientError
from pipelines.manifest import Manifest
from pipelines.outcome import read_outcomes
from pipelines.settings import Settings

LOCK_WAIT_SECS = 60.0
TRIES = 20


def conclude(manifest: Manifest, settings: Settings, *, run_id: str, day: str, reason: str = "") -> int:
    """Writes and prints the record, logs it, ends the run; `reason` says why a run was stopped.

    Returns:
        0, or 75 when ledger or tracking server do not take what is left: everything is on disk, try again.
    """
    record = compose(
        manifest, read_outcomes(settings, manifest.pipeline, run_id), run_id=run_id, day=day, reason=reason
    )
    path = record.write(settings)
    print(render_text(record) + f"  record   {path}", flush=True)
    _log(record, settings)
    behind = {"the ledger": _enter(record, settings)}
    sent = _send(record, settings)
    behind["MLflow"] = sent if tracking_uri(settings) else ""
    for name, why in behind.items():
        if why:
            print(f"daybreak: the decision is written, but {name} does not know it yet: {why}", file=sys.stderr)
    return TransientError.exit_code if any(behind.values()) else 0


def _enter(record: DecisionRecord, settings: Settings) -> str:
    """A row for the record, unless it is there; what stands in the way, or ""."""
    if not is_configured(settings):
        return ""
    model = record.model
    draft = Draft(
        event=Event.DECIDED,
        actor="node conclude",
        reason=headline(record),
        version=model.version if model else None,
        day=datetime.date.fromisoformat(record.day),
        run_id=record.run_id,
        verdict=record.verdict.value,
        record_digest=record.digest,
    )
    try:
        ledger = Ledger.open(settings, record.pipeline, patience_secs=COMMAND_PATIENCE_SECS)
        for _ in range(TRIES):
            entries = ledger.entries()
            if any(e.record_digest == draft.record_digest and e.run_id == draft.run_id for e in entries):
                return ""
            with contextlib.suppress(LedgerConflict):
                ledger.append(draft, after=entries)
                return ""
    except DaybreakError as error:
        return str(error)
    return "others write to it all the time"


def _log(record: DecisionRecord, settings: Settings) -> None:
    outbox = Outbox.of(settings, pipeline=record.pipeline, run_id=record.run_id, scope=RUN)
    if outbox.is_empty():
        manifest = manifest_of(settings, record.pipeline)
        simulated = bool(manifest and manifest.simulated)
        outbox.append(run_start(pipeline=record.pipeline, day=record.day, simulated=simulated))
    tracker = Tracker(outbox)
    tracker.log_metrics(_metrics(record))
    # An empty tag only takes back what an earlier conclusion said.
    again = any(event["kind"] == "end" for _, event in outbox.read())
    tracker.log_tags({name: value for name, value in _tags(record).items() if value or again})
    tracker.log_text(record.model_dump_json(indent=1), "decision/decision.json")
    tracker.log_text(render_markdown(record), "decision/decision.md")
    outbox.append({"kind": "end", "status": run_status(record), "name": run_name(record)})


def run_name(record: DecisionRecord) -> str:
    """`shop 2026-01-05 accepted, version 3 is champion`: the list of runs tells what happened without a click."""
    name = f"{record.pipeline} {record.day} {record.verdict.value.replace('_', ' ')}"
    if record.model and record.model.version:
        live = "is champion" if "champion" in record.model.aliases else "is challenger"
        return f"{name}, version {record.model.version} {live}"
    return f"{name} by {record.gate}" if record.gate else name


def run_status(record: DecisionRecord) -> str:
    """MLflow's status: a refusal is a finished run, a node that failed or never ran is not."""
    states = {node.state for node in record.nodes}
    if "failed" in states:
        return "FAILED"
    return "KILLED" if "not_run" in states and "refused" not in states else "FINISHED"


def _tags(record: DecisionRecord) -> dict[str, object]:
    model = record.model
    return {
        NOTE: render_markdown(record),
        "daybreak.verdict": record.verdict.value,
        "daybreak.gate": record.gate,
        "daybreak.reason": record.reason,
        "daybreak.next_command": record.next_command,
        "daybreak.overridden": "; ".join(f"{o.gate}: {o.check} by {o.user}: {o.reason}" for o in record.overridden),
        "daybreak.model_version": (model.version or "") if model else "",
        "daybreak.champion": (model.champion_after or "") if model else "",
    }


def _metrics(record: DecisionRecord) -> dict[str, float]:
    """What the experiment's table compares days by: gates, and where the time went."""
    metrics = {f"time/{node.node}_seconds": node.seconds for node in record.nodes if node.state != "not_run"}
    metrics["time/total_seconds"] = record.seconds
    for report in record.gates:
        for check in report.checks:
            if check.slice == "overall" and isinstance(check.observed, int | float):
                metrics[f"{report.gate}/{check.name}"] = float(check.observed)
    return metrics


def _send(record: DecisionRecord, settings: Settings) -> str:
    """Empties every outbox of the run; what stands in the way, or ""."""
    behind = ""
    # Nodes before their parent, whose last event ends the run.
    for outbox in reversed(Outbox.of_run(settings, pipeline=record.pipeline, run_id=record.run_id)):
        sent = send(outbox, settings=settings, wait_secs=LOCK_WAIT_SECS)
        if sent.left:
            behind = f"{sent.left} events wait in {outbox.folder}: {sent.error}"
            break
    return behind
