"""What is known of one variant: its quality, its bytes, its speed, or why it is broken."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pipelines.spec import Frozen

MANY = 256
CALLS, BATCH_CALLS = 200, 40
WARM_UP = 5


class Latency(Frozen):
    """In this process, from raw rows as tensors to predictions; one call after the other."""

    p50_ms: float
    p99_ms: float


class Speed(Frozen):
    one: Latency
    """Single rows."""
    many: Latency
    """Batches of `MANY` rows."""
    throughput: float
    """Rows per second in those."""


class Measurement(Frozen):
    name: str
    error: str = ""
    """Why it is broken; it has no numbers then, or not all."""
    rows: int = 0
    quality: Mapping[str, Mapping[str, float]] = {}
    """Metric by slice, `overall` first; a metric that is not defined there is left out."""
    slice_rows: Mapping[str, int] = {}
    bytes: int = 0
    """Of the SavedModel's files."""
    gzip_bytes: int = 0
    """Of its compressed archive: what travels."""
    speed: Speed | None = None


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def gzip_bytes(folder: Path) -> int:
    """Of `tar | gzip -6`."""
    counter = _Counter()
    with (
        gzip.GzipFile(fileobj=counter, mode="wb", compresslevel=6) as file,
        tarfile.open(fileobj=file, mode="w|") as archive,
    ):
        archive.add(folder, arcname=".")
    return counter.count


class _Counter(io.RawIOBase):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        size = memoryview(data).nbytes  # type: ignore[arg-type]
        self.count += size
        return size


def measure_speed(one: Callable[[], object], many: Callable[[], object], *, rows: int) -> Speed:
    """`one` predicts a row, `many` predicts `rows`."""
    singles, batches = _times(one, CALLS), _times(many, BATCH_CALLS)
    return Speed(one=_latency(singles), many=_latency(batches), throughput=rows * len(batches) / sum(batches))


def _times(call: Callable[[], object], count: int) -> list[float]:
    for _ in range(WARM_UP):
        call()
    found = []
    for _ in range(count):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return found


def _latency(seconds: list[float]) -> Latency:
    p50, p99 = np.percentile(seconds, (50, 99)) * 1000
    return Latency(p50_ms=float(p50), p99_ms=float(p99))
