"""From the outbox to the MLflow server: in order, at least once, and the same after any number of times.

    sent = send(outbox, settings=settings, wait_secs=10)
    sent.left, sent.error, sent.url

An event the server refuses for good (a name it does not allow, a file that is gone) is written to `rejected.jsonl` and
counted in the run's tag `daybreak.rejected`; everything else that fails stays for the next sending.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from components.tracking.outbox import RUN, Cursor, Event, Outbox
from components.tracking.server import connect, reachable, run_url, tracking_uri
from pipelines.errors import TransientError
from pipelines.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput

_log = logging.getLogger(__name__)

RUN_KEY = "daybreak.run_key"
MAX_METRICS, MAX_PARAMS = 900, 90
"""Below the server's limits for one batch: 1,000 metrics, 100 parameters, 100 tags."""
MAX_TAG_CHARS = 7900
_FINAL = {"INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "BAD_REQUEST", "FEATURE_DISABLED"}


@dataclass(frozen=True)
class Sent:
    left: int
    """Events that wait for the next sending."""
    error: str = ""
    url: str = ""


def send(outbox: Outbox, *, settings: Settings, wait_secs: float) -> Sent:
    """Sends what is pending; never raises. `wait_secs`: how long to wait for another process that sends the same."""
    uri = tracking_uri(settings)
    if not uri:
        return Sent(outbox.pending(), "no tracking server is configured")
    error = ""
    try:
        if not reachable(uri):
            error = f"the tracking server does not answer at {uri}"
        else:
            with outbox.sending(wait_secs=wait_secs) as held:
                if held:
                    _Sender(outbox, uri).send()
                else:
                    error = "another process is sending it"
    except Exception as problem:  # noqa: BLE001 - whatever fails here, the run goes on and the events stay
        error = f"{type(problem).__name__}: {problem}"
        _log.warning("tracking is behind, everything stays in %s: %s", outbox.folder, error)
    cursor = outbox.cursor()
    return Sent(outbox.pending(), error, run_url(uri, experiment=cursor.experiment, mlflow_run=cursor.mlflow_run))


@dataclass
class _Batch:
    metrics: list[tuple[str, float, int, int]] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def take(self, event: Event) -> bool:
        """True when the event became part of the batch."""
        values = event.get("values", {})
        if event["kind"] == "metrics" and len(self.metrics) + len(values) <= MAX_METRICS:
            self.metrics += [(_key(name), value, event["at"], event["step"]) for name, value in values.items()]
        elif event["kind"] == "params" and len(self.params) + len(values) <= MAX_PARAMS:
            self.params |= {_key(name): value for name, value in values.items()}
        elif event["kind"] == "tags" and len(self.tags) + len(values) <= MAX_PARAMS:
            self.tags |= {_key(name): value[:MAX_TAG_CHARS] for name, value in values.items()}
        else:
            return False
        return True

    def __bool__(self) -> bool:
        return bool(self.metrics or self.params or self.tags)


class _Sender:
    def __init__(self, outbox: Outbox, uri: str) -> None:
        self.outbox, self.uri = outbox, uri
        self.client: MlflowClient = connect(uri)

    def send(self) -> None:
        if self.outbox.cursor().tracking_uri == self.uri and not self.outbox.pending():
            return
        from mlflow.exceptions import MlflowException

        try:
            self._send_pending(open_run(self.outbox, self.client, self.uri))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            # The server lost the run or is another one: tell it everything again.
            self.outbox.move_cursor(Cursor())
            if self.outbox.parent and self.outbox.parent.cursor().mlflow_run:
                self.outbox.parent.move_cursor(Cursor())
            self._send_pending(open_run(self.outbox, self.client, self.uri))

    def _send_pending(self, cursor: Cursor) -> None:
        batch, offset = _Batch(), cursor.offset
        for end, event in self.outbox.read(after=cursor.offset):
            if not batch.take(event):
                self._send_batch(batch, cursor.mlflow_run)
                self.outbox.move_cursor(dataclasses.replace(cursor, offset=offset))
                batch = _Batch()
                if not batch.take(event):
                    self._send_single(event, cursor.mlflow_run)
                    self.outbox.move_cursor(dataclasses.replace(cursor, offset=end))
            offset = end
        self._send_batch(batch, cursor.mlflow_run)
        self.outbox.move_cursor(dataclasses.replace(cursor, offset=offset))

    def _send_batch(self, batch: _Batch, run: str) -> None:
        if not batch:
            return
        from mlflow.exceptions import MlflowException

        try:
            self._log_batch(batch, run)
        except MlflowException as error:
            if error.error_code not in _FINAL:
                raise
            self._send_one_by_one(batch, run)

    def _log_batch(self, batch: _Batch, run: str) -> None:
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(*metric) for metric in batch.metrics]
        params = [Param(*param) for param in batch.params.items()]
        self.client.log_batch(run, metrics, params, [RunTag(*tag) for tag in batch.tags.items()])

    def _send_one_by_one(self, batch: _Batch, run: str) -> None:
        """The server refused the batch for good: send its parts, so that only the bad ones are lost."""
        from mlflow.exceptions import MlflowException

        known = dict(self.client.get_run(run).data.params)
        for name, value in batch.params.items():
            if name in known and known[name] != value:
                batch.tags[f"daybreak.changed.{name}"[:250]] = value
        params = {name: value for name, value in batch.params.items() if name not in known}
        parts = [_Batch(metrics=[metric]) for metric in batch.metrics]
        parts += [_Batch(params={name: value}) for name, value in params.items()]
        parts += [_Batch(tags={name: value}) for name, value in batch.tags.items()]
        for part in parts:
            try:
                self._log_batch(part, run)
            except MlflowException as error:
                if error.error_code not in _FINAL:
                    raise
                self._reject(vars(part), error, run)

    def _send_single(self, event: Event, run: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._dispatch(event, run)
        except FileNotFoundError as error:
            self._reject(event, error, run)
        except MlflowException as error:
            if error.error_code not in _FINAL:
                raise
            self._reject(event, error, run)

    def _dispatch(self, event: Event, run: str) -> None:
        match event["kind"]:
            case "start":
                self._send_batch(_Batch(tags=dict(event.get("tags", {}))), run)
                self.client.update_run(run, status="RUNNING", name=event.get("name"))
            case "end":
                if event.get("name"):
                    self.client.update_run(run, name=event["name"])
                self.client.set_terminated(run, event["status"], event["at"])
            case "artifact":
                path, to = Path(event["path"]), event["to"] or None
                (self.client.log_artifacts if path.is_dir() else self.client.log_artifact)(run, str(path), to)
            case "table":
                self._list_table(event["path"], run)
            case "dataset":
                self.client.log_inputs(run, [_dataset(event)])
            case "metrics" | "params" | "tags":
                for part in _parts(event):
                    batch = _Batch()
                    batch.take(part)
                    self._send_batch(batch, run)
            case kind:
                self._reject(event, ValueError(f"unknown kind {kind!r}"), run)

    def _list_table(self, path: str, run: str) -> None:
        tag = "mlflow.loggedArtifacts"
        listed = json.loads(self.client.get_run(run).data.tags.get(tag, "[]"))
        entry = {"path": path, "type": "table"}
        if entry not in listed:
            self.client.set_tag(run, tag, json.dumps([*listed, entry]))

    def _reject(self, event: Event, error: Exception, run: str) -> None:
        _log.warning("the tracking server will never take this event of %s: %s", self.outbox.run_key, error)
        path = self.outbox.folder / "rejected.jsonl"
        with path.open("a") as file:
            file.write(json.dumps({"event": event, "error": str(error)}, default=str) + "\n")
        self.client.set_tag(run, "daybreak.rejected", str(len(path.read_text().splitlines())))


def open_run(outbox: Outbox, client: MlflowClient, uri: str) -> Cursor:
    """Finds the server's run of this outbox or creates it, below its parent; the caller holds the outbox."""
    cursor = outbox.cursor()
    if cursor.mlflow_run and cursor.tracking_uri == uri:
        return cursor
    experiment = experiment_id(client, outbox.pipeline)
    tags = {RUN_KEY: outbox.run_key, "daybreak.pipeline": outbox.pipeline, "daybreak.run_id": outbox.run_id}
    if outbox.parent:
        with outbox.parent.sending(wait_secs=20) as held:
            if not held:
                raise TransientError(f"another process is creating the run {outbox.run_id}")
            tags["mlflow.parentRunId"] = open_run(outbox.parent, client, uri).mlflow_run
    run = _find_or_create(outbox, client, experiment=experiment, tags=tags)
    cursor = Cursor(offset=0, tracking_uri=uri, mlflow_run=run, experiment=experiment)
    outbox.move_cursor(cursor)
    return cursor


def _find_or_create(outbox: Outbox, client: MlflowClient, *, experiment: str, tags: dict[str, str]) -> str:
    found = client.search_runs([experiment], f"tags.`{RUN_KEY}` = '{outbox.run_key}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    first = next((event for _, event in outbox.read()), {})
    # A parent without a start event of its own yet is named when that one is sent.
    name = first.get("name") or (outbox.run_id if outbox.scope == RUN else outbox.scope)
    tags = {**tags, **first.get("tags", {})}
    run = client.create_run(experiment, start_time=first.get("at"), run_name=name, tags=tags)
    return str(run.info.run_id)


def experiment_id(client: MlflowClient, name: str) -> str:
    """The experiment of a pipeline, created on first use."""
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    try:
        # The kind decides which pages the server opens for it.
        return str(client.create_experiment(name, tags={"mlflow.experimentKind": "custom_model_development"}))
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return experiment_id(client, name)


def _dataset(event: Event) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source = json.dumps({"uri": event["source"]})
    profile = json.dumps(event["profile"])
    dataset = Dataset(event["name"], event["digest"], "local", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", event["context"])])


def _parts(event: Event) -> Iterable[Event]:
    """An event too large for one batch, in pieces."""
    items = list(event["values"].items())
    for start in range(0, len(items), MAX_PARAMS):
        yield {**event, "values": dict(items[start : start + MAX_PARAMS])}


def _key(name: str) -> str:
    """Names as the server allows them."""
    return "".join(letter if letter.isalnum() or letter in "/_-. :" else "_" for letter in name)[:250]
