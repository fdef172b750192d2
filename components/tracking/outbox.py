"""The outbox: everything a run wants to tell the tracking server, on disk first.

    outbox = Outbox.of(settings, pipeline="shop", run_id="shop-2026-01-05-1a2b3c4d", scope="train")
    outbox.append({"kind": "metrics", "values": {"loss": 0.41}, "step": 100})
    outbox.read(after=0)

One append-only JSON-lines file per run and scope (a node, or `RUN` for the retrain itself). A killed process leaves at
most one torn last line, which readers skip. Every event carries its own time, so sending it twice changes nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from pipelines.manifest import write_atomically
from pipelines.outcome import run_folder
from pipelines.settings import Settings

RUN = "_run"
"""Scope of the parent run; not a node id, because those start with a letter."""

Event = dict[str, Any]


@dataclass(frozen=True)
class Cursor:
    """How far an outbox was sent, and to which run of the server."""

    offset: int = 0
    tracking_uri: str = ""
    mlflow_run: str = ""
    experiment: str = ""


@dataclass(frozen=True)
class Outbox:
    folder: Path
    pipeline: str
    run_id: str
    scope: str

    @classmethod
    def of(cls, settings: Settings, *, pipeline: str, run_id: str, scope: str) -> Self:
        folder = run_folder(settings, pipeline, run_id) / "outbox" / scope
        return cls(folder=folder, pipeline=pipeline, run_id=run_id, scope=scope)

    @classmethod
    def of_run(cls, settings: Settings, *, pipeline: str, run_id: str) -> list[Self]:
        """Every outbox of a run that exists, the parent's first."""
        folders = sorted((run_folder(settings, pipeline, run_id) / "outbox").glob("*/events.jsonl"))
        scopes = sorted((path.parent.name for path in folders), key=lambda scope: (scope != RUN, scope))
        return [cls.of(settings, pipeline=pipeline, run_id=run_id, scope=scope) for scope in scopes]

    @property
    def run_key(self) -> str:
        """What the server's run is found by: equal for every try of the same node of the same run."""
        return self.run_id if self.scope == RUN else f"{self.run_id}/{self.scope}"

    @property
    def parent(self) -> Outbox | None:
        if self.scope == RUN:
            return None
        return Outbox(folder=self.folder.parent / RUN, pipeline=self.pipeline, run_id=self.run_id, scope=RUN)

    @property
    def events_path(self) -> Path:
        return self.folder / "events.jsonl"

    def append(self, event: Event) -> None:
        """Writes one event; its time is now unless it brings `at` (milliseconds since 1970)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"at": time.time_ns() // 1_000_000, **event}, allow_nan=True).encode() + b"\n"
        with self.events_path.open("ab+", buffering=0) as file:
            # A short write or a kill left half a line: end it, so that this event starts a new one.
            if file.tell() and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n":
                line = b"\n" + line
            if file.write(line) != len(line):
                raise OSError(f"the disk took only part of an event of {len(line)} bytes: {self.events_path}")

    def read(self, *, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Events behind byte `after`, each with the offset of its end; unreadable lines are skipped."""
        try:
            file = self.events_path.open("rb")
        except FileNotFoundError:
            return
        with file:
            file.seek(after)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                after += len(line)
                with contextlib.suppress(ValueError):
                    yield after, json.loads(line)

    def is_empty(self) -> bool:
        return not self.events_path.exists() or self.events_path.stat().st_size == 0

    def pending(self) -> int:
        """Events that were not sent yet."""
        return sum(1 for _ in self.read(after=self.cursor().offset))

    def keep(self, path: Path) -> Path:
        """Copies a file beside the events, so that it can still be sent after its owner removed it."""
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
        kept = self.folder / "files" / digest / path.name
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            partial = kept.with_name(f".{kept.name}.{os.getpid()}")
            shutil.copyfile(path, partial)
            partial.rename(kept)
        return kept

    def keep_bytes(self, name: str, content: bytes) -> Path:
        """Like `keep`, for content that was never a file."""
        kept = self.folder / "files" / hashlib.sha256(content).hexdigest()[:12] / name
        if not kept.exists():
            write_atomically(kept, content)
        return kept

    def cursor(self) -> Cursor:
        try:
            return Cursor(**json.loads((self.folder / "cursor.json").read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            # Sending everything again is harmless.
            return Cursor()

    def move_cursor(self, cursor: Cursor) -> None:
        write_atomically(self.folder / "cursor.json", json.dumps(vars(cursor)).encode())

    @contextlib.contextmanager
    def sending(self, *, wait_secs: float) -> Iterator[bool]:
        """Holds this outbox for sending; yields False when another process still has it after `wait_secs`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            deadline = time.monotonic() + wait_secs
            while not (held := _try_lock(lock.fileno())) and time.monotonic() < deadline:
                time.sleep(0.05)
            yield held


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
