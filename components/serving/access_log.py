"""A line of JSON for each answer, where somebody asked for it.

access_log = AccessLog(Path("access.jsonl"))        # or Path("-"): standard output
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import msgspec

_encode = msgspec.json.Encoder().encode_lines


class AccessLog:
    def __init__(self, path: Path) -> None:
        # Each line is one write: whoever rotates the file finds whole lines.
        self._file = sys.stdout.buffer if str(path) == "-" else path.open("ab", buffering=0)

    def add(self, request_id: bytes, method: str, path: str, status: int, seconds: float, sent_bytes: int) -> None:
        line = {
            "time": round(time.time(), 6),
            "request_id": request_id.decode(),
            "method": method,
            "path": path,
            "status": status,
            "ms": round(seconds * 1000, 3),
            "bytes": sent_bytes,
        }
        try:
            self._file.write(_encode([line]))
        except OSError:
            # A full disk must not cost an answer; the counters in /metrics go on.
            return
