"""The gateway's side of the log: exposures never wait, outcomes are on the disk when `record` returns.

    log = Log(folder, gateway="gateway-1")
    log.expose(exposure)                # never blocks, never raises; with a full buffer it is lost and counted
    await log.record(outcomes)          # TransientError: they are not durable, the client sends them again
    log.counts                          # Counts(exposures=…, outcomes=…, lost=…, buffered=…)
    log.close()

One thread writes journals (`components.exposures.journal`): a process that is killed loses what came in the last
`FLUSH_SECS`. A child process turns them into Parquet files (`components.exposures.archiving`), so that neither its time nor
its hold of the interpreter is the gateway's.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from components.exposures.journal import EXPOSURES, JOURNALS, LOCK, OPEN, OUTCOMES, WANTED, Journal, seal
from components.exposures.records import Exposure, Outcome
from pipelines.errors import ResourceError, SpecError, one_line
from pipelines.settings import REPOSITORY

FLUSH_SECS = 0.05
ROTATE_SECS = 60.0
RETRY_SECS = 1.0
"""After the disk refused."""
FRAME = 256
"""Records encoded at once: a millisecond in which the event loop waits for the interpreter."""
_LOGGER = logging.getLogger(__name__)


class Counts(NamedTuple):
    exposures: int
    """Written."""
    outcomes: int
    """Durable."""
    lost: int
    """Exposures that found a full buffer, or could not be encoded, or written before the end."""
    buffered: int


@dataclass(frozen=True)
class _Waiting:
    outcomes: Sequence[Outcome]
    loop: asyncio.AbstractEventLoop
    durable: asyncio.Future[None]

    def tell(self, error: Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # its loop is closed, nobody waits
            self.loop.call_soon_threadsafe(self._tell, error)

    def _tell(self, error: Exception | None) -> None:
        if self.durable.done():
            return
        if error is None:
            self.durable.set_result(None)
        else:
            self.durable.set_exception(error)


class Log:
    """Raises `SpecError` when another process that runs has this gateway's name."""

    def __init__(
        self,
        folder: Path,
        *,
        gateway: str,
        capacity_rows: int = 200_000,
        rotate_secs: float = ROTATE_SECS,
        rotate_rows: int = 100_000,
    ) -> None:
        self._folder = folder.absolute()
        self._own = self._folder / JOURNALS / gateway
        self._capacity, self._rotate_secs, self._rotate_rows = capacity_rows, rotate_secs, rotate_rows
        self._buffer: deque[Exposure] = deque()
        self._taken: list[Exposure] = []
        self._outcomes: deque[_Waiting] = deque()
        self._journals: dict[str, Journal] = {}
        self._lock: int | None = None
        self._written = self._durable = self._lost = 0
        self._retry_at, self._complained = 0.0, False
        self._archiver: subprocess.Popen[bytes] | None = None
        self._sealed = True
        self._wake, self._closing = threading.Event(), False
        with contextlib.suppress(OSError):  # tried again for every journal
            self._open_folder()
        self._thread = threading.Thread(target=self._run, name="exposure-log", daemon=True)
        self._thread.start()

    def expose(self, exposure: Exposure) -> None:
        if self._closing or len(self._buffer) >= self._capacity:
            self._lost += 1
        else:
            self._buffer.append(exposure)

    async def record(self, outcomes: Sequence[Outcome]) -> None:
        """Raises `TransientError` when they are not durable."""
        if not outcomes:
            return
        loop = asyncio.get_running_loop()
        waiting = _Waiting(outcomes, loop, loop.create_future())
        self._outcomes.append(waiting)
        if self._closing:
            self._refuse(_not_durable("the log is closed"))
        self._wake.set()
        await waiting.durable

    @property
    def counts(self) -> Counts:
        return Counts(self._written, self._durable, self._lost, len(self._buffer) + len(self._taken))

    def close(self) -> None:
        """What is buffered is written, and all of it archived; what the disk refuses is lost and counted."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        self._thread.join()
        if self._archiver is not None:
            self._archiver.wait()
        self._lost += len(self._buffer) + len(self._taken)
        self._buffer.clear()
        self._taken = []
        for kind in list(self._journals):
            self._seal(kind)
        try:
            from components.exposures.archiving import archive  # which imports Arrow

            archive(self._folder)
        except Exception as error:  # noqa: BLE001 - the journals are safe; whoever archives next takes them
            _LOGGER.error("the exposure log was not archived: %s", one_line(error))
        if self._lock is not None:
            os.close(self._lock)

    def _run(self) -> None:
        flush_at = 0.0
        while not self._closing:
            self._wake.wait(FLUSH_SECS)
            self._wake.clear()
            try:
                self._write_outcomes()
                if time.monotonic() >= flush_at:
                    flush_at = time.monotonic() + FLUSH_SECS
                    self._write_exposures()
                    self._rotate()
            except Exception as error:  # noqa: BLE001 - without this thread every caller of `record` would wait for ever
                self._wait_for_the_disk(error)
        self._retry_at = 0.0
        self._write_outcomes()
        self._write_exposures()

    def _write_exposures(self) -> None:
        if time.monotonic() < self._retry_at:
            return
        while self._taken or self._buffer:
            while self._buffer and len(self._taken) < FRAME:
                self._taken.append(self._buffer.popleft())
            try:
                journal = self._journal(EXPOSURES)
            except (OSError, SpecError) as error:
                self._wait_for_the_disk(error)
                return
            try:
                journal.append(self._taken)
            except OSError as error:
                self._wait_for_the_disk(error)
                return
            except Exception:  # noqa: BLE001 - a record that cannot be encoded; the others can
                self._taken = self._encodable(journal, self._taken)
                continue
            self._written += len(self._taken)
            self._taken, self._complained = [], False

    def _encodable(self, journal: Journal, records: list[Exposure]) -> list[Exposure]:
        found = [record for record in records if journal.takes(record)]
        self._lost += len(records) - len(found)
        _LOGGER.error("%d exposures could not be encoded", len(records) - len(found))
        return found

    def _write_outcomes(self) -> None:
        """Everything that waits, with one wait for the disk."""
        group = [self._outcomes.popleft() for _ in range(len(self._outcomes))]
        if not group:
            return
        try:
            journal = self._journal(OUTCOMES)
            journal.append([outcome for waiting in group for outcome in waiting.outcomes])
            journal.sync()
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            # What the disk holds after a failed `fsync` is unknown, and the next one would not say so again.
            self._seal(OUTCOMES)
            failure = _not_durable(one_line(error))
            for waiting in group:
                waiting.tell(failure)
            return
        for waiting in group:
            self._durable += len(waiting.outcomes)
            waiting.tell(None)

    def _refuse(self, error: Exception) -> None:
        while self._outcomes:
            self._outcomes.popleft().tell(error)

    def _wait_for_the_disk(self, error: Exception) -> None:
        self._retry_at = time.monotonic() + RETRY_SECS
        if not self._complained:
            _LOGGER.error("the exposure log cannot be written, exposures are buffered: %s", one_line(error))
            self._complained = True

    def _journal(self, kind: str) -> Journal:
        if kind not in self._journals:
            self._open_folder()
            self._journals[kind] = Journal.create(self._own, kind)
        return self._journals[kind]

    def _open_folder(self) -> None:
        if self._lock is not None:
            return
        self._own.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self._own / LOCK)
        for path in self._own.glob(f"*{OPEN}"):  # of a gateway of this name that was killed
            seal(path)

    def _rotate(self) -> None:
        self._seal_when_asked()
        now = time.monotonic()
        full = [
            kind
            for kind, journal in self._journals.items()
            if journal.rows >= self._rotate_rows or (journal.rows and now - journal.opened >= self._rotate_secs)
        ]
        for kind in full:
            self._seal(kind)
        if self._archiver is not None and self._archiver.poll() is not None:
            self._archiver = None
        self._sealed = bool(full) or self._sealed
        if self._sealed and self._archiver is None:
            self._sealed = False
            self._start_archiver()

    def _seal_when_asked(self) -> None:
        """Whoever asks (`components.exposures.archiving.ask_to_seal`) archives too."""
        wanted = self._own / WANTED
        if wanted.exists():
            for kind in [kind for kind, journal in self._journals.items() if journal.rows]:
                self._seal(kind)
            wanted.unlink(missing_ok=True)

    def _seal(self, kind: str) -> None:
        journal = self._journals.pop(kind, None)
        if journal is not None:
            with contextlib.suppress(OSError):
                journal.seal()

    def _start_archiver(self) -> None:
        command = [sys.executable, "-m", "components.exposures", "archive", str(self._folder)]
        try:
            self._archiver = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, cwd=REPOSITORY)
        except OSError as error:
            _LOGGER.error("the exposure log's archiver did not start: %s", one_line(error))


def _not_durable(why: str) -> ResourceError:
    return ResourceError(f"the outcomes could not be written: {why}", fix="free the disk; the client sends them again")


def _locked(path: Path) -> int:
    """Tried for a second: an archiver holds it for a moment, to see whether anybody lives."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    for _ in range(20):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
        else:
            return lock
    os.close(lock)
    raise SpecError(
        f"every gateway has a name of its own. Received: {path.parent.name}, which a running one has",
        fix="give this gateway another name, or stop the other one",
        place=str(path),
    )
