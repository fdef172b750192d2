"""The decision record: how one retrain of one day ended, and why.

    record = compose(manifest, outcomes, run_id="shop-2026-01-05-1a2b3c4d", day="2026-01-05")
    record.verdict, record.gate, record.reason, record.next_command

Composed from what the nodes left behind, nothing else, so that composing twice gives the same bytes. Every retrain has
one: also a run that was refused, failed or was stopped before its first node.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from components.decision.report import GateReport, Verdict
from pipelines.artifact_store import local_path
from pipelines.errors import SpecError
from pipelines.manifest import Manifest, write_atomically
from pipelines.outcome import Outcome, State, run_folder
from pipelines.settings import Settings
from pipelines.spec import Frozen

DECISION_FILE = "decision.json"
REGISTRATION_FILE = "registration.json"
SCHEMA_VERSION = 2
_DECIDED = ("pipeline", "day", "simulated", "verdict", "gate", "reason", "gates", "gates_not_run", "overridden")
_DECIDED_OF_MODEL = ("name", "version", "champion_before", "champion_after")


class RegisteredModel(Frozen):
    """What the `register` node did: `registration.json` of its artifact."""

    name: str
    version: str | None = None
    """None: nothing was registered, and `reason` says why."""
    aliases: tuple[str, ...] = ()
    """Aliases that point at `version` now."""
    champion_before: str | None = None
    champion_after: str | None = None
    reused: bool = False
    """The same model of the same day was registered before."""
    reason: str = ""
    url: str = ""
    noticed: tuple[str, ...] = ()
    """Aliases that somebody had moved by hand, and that were put back."""

    def write(self, folder: Path) -> None:
        write_atomically(folder / REGISTRATION_FILE, self.model_dump_json(indent=1).encode() + b"\n")

    @classmethod
    def read(cls, folder: Path) -> RegisteredModel:
        return cls.model_validate_json((folder / REGISTRATION_FILE).read_text(encoding="utf-8"))


class NodeSummary(Frozen):
    node: str
    stage: str
    state: Literal["complete", "cached", "refused", "failed", "not_run"]
    seconds: float = 0.0
    cpu_secs: float = 0.0
    cache: str = ""
    error: str = ""
    tracking_url: str = ""


class Overridden(Frozen):
    """A refused check that a user forced the run past."""

    gate: str
    check: str
    slice: str
    user: str
    reason: str


class GateNotRun(Frozen):
    gate: str
    reason: str


class DecisionRecord(Frozen):
    schema_version: Literal[2] = 2
    pipeline: str
    day: str
    run_id: str
    simulated: bool = False
    verdict: Verdict
    gate: str
    """The node that decided; "" when every gate accepted."""
    reason: str
    next_command: str
    gates: tuple[GateReport, ...] = ()
    gates_not_run: tuple[GateNotRun, ...] = ()
    overridden: tuple[Overridden, ...] = ()
    model: RegisteredModel | None = None
    nodes: tuple[NodeSummary, ...] = ()
    seconds: float = 0.0
    """From the first node's start to the last node's end."""

    def content(self) -> bytes:
        return self.model_dump_json(indent=1).encode() + b"\n"

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.content()).hexdigest()

    def verdict_bytes(self) -> bytes:
        """What was decided and from what, without times, addresses and the run: equal when the day is judged again."""
        model = self.model.model_dump(include=set(_DECIDED_OF_MODEL)) if self.model else None
        decided = self.model_dump(mode="json", include=set(_DECIDED)) | {"model": model}
        return json.dumps(decided, sort_keys=True).encode()

    def write(self, settings: Settings) -> Path:
        path = decision_path(settings, self.pipeline, self.run_id)
        write_atomically(path, self.content())
        return path


def decision_path(settings: Settings, pipeline: str, run_id: str) -> Path:
    return run_folder(settings, pipeline, run_id) / DECISION_FILE


def read_record(path: Path) -> DecisionRecord:
    """Raises `SpecError` for a file that is no record of this version."""
    try:
        return DecisionRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except ValidationError as error:
        first = error.errors()[0]
        raise SpecError(
            f"not a decision record of version {SCHEMA_VERSION}: `{'.'.join(map(str, first['loc']))}` {first['msg']}",
            fix="run the day again; what is unchanged comes from the cache",
            place=str(path),
        ) from error


def latest_record(settings: Settings, pipeline: str, day: str) -> DecisionRecord | None:
    """The newest record of a day's retrains, or None."""
    paths = (settings.runs / pipeline).glob(f"{pipeline}-{day}-*/{DECISION_FILE}")
    newest = max(paths, key=lambda path: path.stat().st_mtime_ns, default=None)
    return read_record(newest) if newest else None


def compose(
    manifest: Manifest, outcomes: Mapping[str, Outcome], *, run_id: str, day: str, reason: str = ""
) -> DecisionRecord:
    """Composes the record of a run from its nodes' outcomes; `reason` explains a run that was stopped."""
    gates = {node.id: report for node in manifest.nodes if (report := _report(outcomes.get(node.id)))}
    gate, verdict, why, command = _decide(manifest, outcomes, gates=gates, day=day, reason=reason)
    ends = [(outcome.started, outcome.ended) for outcome in outcomes.values()]
    return DecisionRecord(
        pipeline=manifest.pipeline,
        day=day,
        run_id=run_id,
        simulated=manifest.simulated,
        verdict=verdict,
        gate=gate,
        reason=why,
        next_command=command,
        gates=tuple(gates.values()),
        gates_not_run=tuple(_not_run(manifest, outcomes, gates=gates, stopped_by=gate, reason=reason)),
        overridden=tuple(_overridden(outcomes, gates)),
        model=_registered(outcomes),
        nodes=tuple(_summary(node.id, node.stage, outcomes.get(node.id)) for node in manifest.nodes),
        seconds=round(max(end for _, end in ends) - min(start for start, _ in ends), 3) if ends else 0.0,
    )


def _decide(
    manifest: Manifest,
    outcomes: Mapping[str, Outcome],
    *,
    gates: Mapping[str, GateReport],
    day: str,
    reason: str,
) -> tuple[str, Verdict, str, str]:
    """(gate, verdict, reason, next command) of the first node that stopped the run, else of the decisive gate."""
    again = f"daybreak run {manifest.pipeline} --day {day}"
    for node in manifest.nodes:
        outcome = outcomes.get(node.id)
        if outcome and outcome.state is State.REFUSED:
            report = gates.get(node.id)
            why = report.reason if report else outcome.error
            return (
                node.id,
                Verdict.REFUSED,
                why,
                (report.next_command if report else "") or f"{again} --force --reason TEXT",
            )
        if outcome and outcome.state is State.FAILED:
            return node.id, Verdict.NOT_EVALUABLE, outcome.error or "the node failed without a message", again
    for node in manifest.nodes:
        if node.id not in outcomes:
            return node.id, Verdict.NOT_EVALUABLE, reason or f"`{node.id}` never ran", again
    if not gates:
        return "", Verdict.NOT_EVALUABLE, "no gate is part of this pipeline", f"daybreak check {manifest.pipeline}"
    decisive = GateReport.decisive(list(gates.values()))
    if decisive.verdict is Verdict.ACCEPTED:
        why = f"{len(gates)} gates passed: {', '.join(gates)}"
        return "", decisive.verdict, why, f"daybreak explain {manifest.pipeline} --day {day}"
    model = _registered(outcomes)
    approve = f"daybreak promote {manifest.pipeline} --version {model.version} --reason TEXT" if model else ""
    return decisive.gate, decisive.verdict, decisive.reason, decisive.next_command or approve


def _report(outcome: Outcome | None) -> GateReport | None:
    for ref in _refs(outcome, "GateReport"):
        try:
            report = GateReport.read(local_path(ref))
        except (OSError, ValueError):
            continue
        return report.forced() if outcome and outcome.override else report
    return None


def _overridden(outcomes: Mapping[str, Outcome], gates: Mapping[str, GateReport]) -> Iterator[Overridden]:
    for node, report in gates.items():
        override = outcomes[node].override
        for check in report.checks if override else ():
            if override and check.overridden:
                yield Overridden(gate=report.gate, check=check.name, slice=check.slice, **override.model_dump())


def _not_run(
    manifest: Manifest,
    outcomes: Mapping[str, Outcome],
    *,
    gates: Mapping[str, GateReport],
    stopped_by: str,
    reason: str,
) -> Iterator[GateNotRun]:
    for node in manifest.nodes:
        outcome = outcomes.get(node.id)
        if not node.gate or node.id in gates:
            continue
        if outcome is None and stopped_by in outcomes:
            why = f"`{stopped_by}` ended the run before it"
        elif outcome is None:
            why = reason or "the run ended before it"
        else:
            why = outcome.error or "it left no report that can be read"
        yield GateNotRun(gate=node.id, reason=why)


def _registered(outcomes: Mapping[str, Outcome]) -> RegisteredModel | None:
    for outcome in outcomes.values():
        for uri in _refs(outcome, "Registration"):
            try:
                return RegisteredModel.read(local_path(uri))
            except (OSError, ValueError):
                continue
    return None


def _refs(outcome: Outcome | None, type_name: str) -> list[str]:
    if outcome is None:
        return []
    return [ref.uri for refs in outcome.outputs.values() for ref in refs if ref.type == type_name]


def _summary(node: str, stage: str, outcome: Outcome | None) -> NodeSummary:
    if outcome is None:
        return NodeSummary(node=node, stage=stage, state="not_run")
    return NodeSummary(
        node=node,
        stage=stage,
        state=outcome.state.value,
        seconds=round(outcome.seconds, 3),
        cpu_secs=outcome.cpu_secs,
        cache=outcome.cache,
        error=outcome.error,
        tracking_url=outcome.tracking_url,
    )
