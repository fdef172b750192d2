"""The MLflow run of a prediction: what was asked, how many rows, how fast. A continued prediction continues its run.

with Tracked(question, name="shop", asked={"input": "…"}, settings=settings) as tracked:
    tracked.log(summary)
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from components.prediction.question import Question
from components.prediction.running import Summary
from components.tracking.nodes import run_start
from components.tracking.outbox import RUN, Outbox
from components.tracking.sending import send
from components.tracking.tracker import Tracker
from pipelines.errors import one_line
from pipelines.settings import Settings

_WAIT_SECS = 5.0


class Tracked:
    """A server that is down changes nothing: what it missed waits in the outbox."""

    def __init__(self, question: Question, *, name: str, asked: Mapping[str, object], settings: Settings) -> None:
        text = json.dumps([question.output, question.digest, question.version])
        run_id = f"predict-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        self._settings, self._outbox = settings, Outbox.of(settings, pipeline=name, run_id=run_id, scope=RUN)
        self._tracker = Tracker(self._outbox)
        start = run_start(pipeline=name, day=str(asked.get("day") or ""))
        start["name"] = f"{name} predict {asked.get('day') or ''}".strip()
        start["tags"]["daybreak.kind"] = "prediction"
        self._outbox.append(start)
        self._tracker.log_params({key: value for key, value in asked.items() if value not in (None, "")})
        self._tracker.log_params({"model_version": question.version, "model_digest": question.digest})

    def __enter__(self) -> Self:
        return self

    def log(self, summary: Summary) -> None:
        metrics = {
            "rows": summary.rows,
            "quarantined": summary.quarantined,
            "files": summary.files,
            "files_resumed": summary.resumed,
            "output_megabytes": summary.bytes / 1e6,
        }
        if summary.new_rows:
            metrics |= {
                "rows_per_sec": summary.rows_per_sec,
                "system/seconds": summary.seconds,
                "system/cpu_seconds": summary.cpu_secs,
            }
        self._tracker.log_metrics(metrics)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._tracker.log_tags({"daybreak.error": one_line(error)})
        status = "FINISHED" if error is None else "FAILED"
        self._outbox.append({"kind": "end", "at": time.time_ns() // 1_000_000, "status": status})
        send(self._outbox, settings=self._settings, wait_secs=_WAIT_SECS)
