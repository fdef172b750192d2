"""What an executor calls to be seen.

    from components.tracking import current

    tracker = current()
    tracker.log_params({"epochs": 3})
    tracker.log_metrics({"loss": 0.41, "eval/auc": 0.71}, step=100)
    tracker.log_artifact(folder / "history.json")

Calls append to the outbox and return; a thread sends every few seconds. Outside a node the tracker keeps silent, so
the same code runs in tests and notebooks. No call raises because of the tracking server.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.tracking.outbox import Event, Outbox
from pipelines.settings import Settings

SEND_EVERY_SECS = 5.0
MAX_VALUE_CHARS = 6000


class Tracker:
    """Logs for one node of one run, or for nobody when it has no outbox."""

    def __init__(self, outbox: Outbox | None, *, settings: Settings | None = None) -> None:
        self.outbox, self._settings = outbox, settings
        self._lock = threading.Lock()
        self._logged: set[tuple[str, int, float]] | None = None
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()

    def log_params(self, params: Mapping[str, object]) -> None:
        """Settings of the run; the first value of a name is kept, a later other one becomes a tag."""
        self._append({"kind": "params", "values": {name: _text(value) for name, value in params.items()}})

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Numbers at a step; a retry that logs the same again adds nothing."""
        if self.outbox is None:
            return
        with self._lock:
            logged = self._already_logged(self.outbox)
            new = {name: float(value) for name, value in metrics.items()}
            new = {name: value for name, value in new.items() if (name, step, value) not in logged}
            logged.update((name, step, value) for name, value in new.items())
        if new:
            self._append({"kind": "metrics", "values": new, "step": int(step)})

    def log_tags(self, tags: Mapping[str, object]) -> None:
        self._append({"kind": "tags", "values": {name: _text(value) for name, value in tags.items()}})

    def log_artifact(self, path: str | os.PathLike[str], to: str = "") -> None:
        """A file (copied now) or a folder (read when sent, so it must stay) into the run's folder `to`."""
        if self.outbox is None:
            return
        path = Path(path)
        kept = path if path.is_dir() else self.outbox.keep(path)
        self._append({"kind": "artifact", "path": str(kept.resolve()), "to": to})

    def log_text(self, text: str, name: str) -> None:
        """A text file; `name` may contain folders, its suffix (`.md`, `.html`) decides how it is shown."""
        self._log_content(name, text.encode())

    def log_table(self, rows: Sequence[Mapping[str, Any]], name: str) -> None:
        """Rows with the same columns as a JSON table the server's pages can show and compare."""
        columns = list(dict.fromkeys(column for row in rows for column in row))
        data = [[row.get(column) for column in columns] for row in rows]
        self._log_content(name, json.dumps({"columns": columns, "data": data}).encode())
        self._append({"kind": "table", "path": name})

    def log_dataset(self, *, name: str, digest: str, source: str, context: str, profile: Mapping[str, Any]) -> None:
        """A dataset the run read, e.g. `context="training"`; `profile` is small, such as the number of rows."""
        self._append(
            {
                "kind": "dataset",
                "name": name,
                "digest": digest[:36],
                "source": source,
                "context": context,
                "profile": dict(profile),
            }
        )

    def close(self) -> None:
        """Stops the sending thread; what is left stays in the outbox."""
        self._closed.set()

    def _log_content(self, name: str, content: bytes) -> None:
        if self.outbox is None:
            return
        folder, _, file = name.rpartition("/")
        kept = self.outbox.keep_bytes(file, content)
        self._append({"kind": "artifact", "path": str(kept.resolve()), "to": folder})

    def _append(self, event: Event) -> None:
        if self.outbox is None:
            return
        with self._lock:
            if self.outbox.is_empty():
                self.outbox.append({"kind": "start", "at": _process_start()})
            self.outbox.append(event)
            self._send_in_background()

    def _already_logged(self, outbox: Outbox) -> set[tuple[str, int, float]]:
        if self._logged is None:
            earlier = (event for _, event in outbox.read() if event.get("kind") == "metrics")
            self._logged = {
                (name, event["step"], value) for event in earlier for name, value in event["values"].items()
            }
        return self._logged

    def _send_in_background(self) -> None:
        if self._thread is None and self._settings is not None:
            self._thread = threading.Thread(target=self._send_until_closed, name="tracking", daemon=True)
            self._thread.start()

    def _send_until_closed(self) -> None:
        # Imported here: the client costs seconds, and short nodes end before the first sending.
        while not self._closed.wait(SEND_EVERY_SECS):
            from components.tracking.sending import send

            if self.outbox is not None and self._settings is not None:
                send(self.outbox, settings=self._settings, wait_secs=0)


_current: tuple[tuple[str, ...], Tracker] | None = None


def current() -> Tracker:
    """The tracker of the node this process runs, by `DAYBREAK_PIPELINE`, `DAYBREAK_RUN_ID` and `DAYBREAK_NODE`."""
    global _current
    names = ("DAYBREAK_PIPELINE", "DAYBREAK_RUN_ID", "DAYBREAK_NODE")
    pipeline, run_id, node = place = tuple(os.environ.get(name, "") for name in names)
    key = (str(os.getpid()), os.environ.get("DAYBREAK_STATE", ""), *place)
    if _current is None or _current[0] != key:
        settings = Settings.from_environment()
        outbox = Outbox.of(settings, pipeline=pipeline, run_id=run_id, scope=node) if all(place) else None
        _current = key, Tracker(outbox, settings=settings if outbox else None)
    return _current[1]


def _process_start() -> int:
    """When this process began, in milliseconds: a node's first word may come minutes after its start."""
    import psutil

    return round(psutil.Process().create_time() * 1000)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 1] + "…"
