"""The split document, looked at again and again; a new one is served once all its models are loaded.

    watch = SplitWatch(path, load=load_engine, on_change=application.take)
    await watch.look()                  # once; `await watch.run()` looks for ever
    watch.lineup, watch.failure

Whatever is wrong with a new document or its models, the last good one stays in force, and `failure` says why.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable
from pathlib import Path

from components.assignment.split import Split, read_split
from components.gateway.lineup import Lineup, LoadEngine, load_lineup
from pipelines.errors import DaybreakError, SpecError, one_line

_log = logging.getLogger(__name__)
POLL_SECS, RETRY_SECS = 1.0, 30.0


class SplitWatch:
    def __init__(
        self,
        path: Path,
        *,
        load: LoadEngine,
        on_change: Callable[[Lineup], None],
        poll_secs: float = POLL_SECS,
        retry_secs: float = RETRY_SECS,
    ) -> None:
        self.lineup: Lineup | None = None
        self.failure = ""
        self.swaps = self.failures = 0
        self._path, self._load, self._on_change = path, load, on_change
        self._poll_secs, self._retry_secs = poll_secs, retry_secs
        self._seen: tuple[int, ...] | None = None
        self._tried = 0.0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._poll_secs)
            await self.look()

    async def look(self) -> None:
        """Never raises."""
        stamp = self._stamp()
        if stamp == self._seen and not (self.failure and time.monotonic() - self._tried > self._retry_secs):
            return
        self._seen, self._tried = stamp, time.monotonic()
        try:
            split = read_split(self._path)
            self._require_newer(split)
            lineup = await asyncio.to_thread(load_lineup, split, self.lineup, self._load)
            self._on_change(lineup)
        except Exception as error:  # noqa: BLE001 - told in /metrics and /rollout; the last good one stays
            self.failures += 1
            self.failure = (str(error) if isinstance(error, DaybreakError) else one_line(error))[:500]
            _log.error("the split document is not taken: %s", self.failure)
            return
        dropped = self.lineup is not None and set(self.lineup.served.values()) - set(lineup.served.values())
        self.lineup, self.failure = lineup, ""
        self.swaps += 1
        if dropped:
            # A graph is full of cycles. What lives for ever is frozen, so this looks at little.
            dropped = False
            await asyncio.to_thread(gc.collect)

    def _stamp(self) -> tuple[int, ...] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _require_newer(self, split: Split) -> None:
        before = self.lineup.split if self.lineup else None
        if before and split.version < before.version and split.written <= before.written:
            raise SpecError(
                f"a document must not be older than the one in force, {before.version}. Received: {split.version}",
                fix="`daybreak rollout reconcile NAME` writes it again",
                place=str(self._path),
            )
