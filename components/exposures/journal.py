"""Where records wait for their Parquet file: batches in frames, so that a torn or damaged one costs itself only.

    journal = Journal.create(folder, "exposures")
    journal.append(records)                          # one `write`; OSError: nothing of it is kept
    journal.seal()                                   # ready for `components.exposures.archiving`
    for record in read_records(path, Exposure): ...

A frame is `MAGIC`, the length and the CRC-32 of its body as little-endian 32-bit numbers, and the body: a msgpack array.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import struct
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self, TypeVar

import msgspec

from components.exposures.records import Exposure, Outcome, Record

EXPOSURES, OUTCOMES = "exposures", "outcomes"
KINDS: dict[str, type[Exposure] | type[Outcome]] = {EXPOSURES: Exposure, OUTCOMES: Outcome}
JOURNALS, LOCK = "journals", "lock"
"""`<log>/journals/<gateway>/`, whose lock a gateway holds while it lives."""
OPEN, SEALED = ".open", ".journal"
WANTED = "wanted"
"""A file beside journals: somebody wants what is in the open ones now."""
MAGIC = b"\xd5DBJ"
_HEADER = struct.Struct("<4sII")
_BLOCK = 2**20

Row = TypeVar("Row", Exposure, Outcome)


class Journal:
    def __init__(self, path: Path, descriptor: int) -> None:
        self.path, self.rows, self.opened = path, 0, time.monotonic()
        self._descriptor, self._length = descriptor, 0
        self._encoder = msgspec.msgpack.Encoder()

    @classmethod
    def create(cls, folder: Path, kind: str) -> Self:
        # No number is given twice, also not after a restart or with a clock that was set back.
        path = folder / f"{kind}-{time.time_ns() // 1000:016d}{secrets.token_hex(3)}{OPEN}"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            sync(folder)  # else the machine may come back without the name of what it wrote
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return cls(path, descriptor)

    def append(self, records: Sequence[Exposure] | Sequence[Outcome]) -> None:
        """Raises `OSError`, and then the file ends where it ended before, or its reader drops what is torn.

        Other exceptions are of records that cannot be encoded.
        """
        body = self._encoder.encode(records)
        frame = memoryview(_HEADER.pack(MAGIC, len(body), zlib.crc32(body)) + body)
        written = 0
        try:
            while written < len(frame):
                written += os.write(self._descriptor, frame[written:])
        except OSError:
            os.ftruncate(self._descriptor, self._length)
            raise
        self._length += written
        self.rows += len(records)

    def takes(self, record: Record) -> bool:
        """Whether it can be encoded."""
        try:
            self._encoder.encode(record)
        except Exception:  # noqa: BLE001 - whatever a wrong field raises
            return False
        return True

    def sync(self) -> None:
        os.fdatasync(self._descriptor)

    def seal(self) -> None:
        self.abandon()
        seal(self.path)

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def sync(path: Path) -> None:
    """Of a folder: its names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def seal(path: Path) -> None:
    """From now on nobody appends."""
    with contextlib.suppress(FileNotFoundError):
        path.rename(path.with_suffix(SEALED))


def read_batches(path: Path, kind: type[Row]) -> Iterator[tuple[list[Row], int]]:
    """The records of each frame, and how many of them were unreadable. Bytes between whole frames are skipped."""
    decoder, parts = msgspec.msgpack.Decoder(list[kind]), msgspec.msgpack.Decoder(list[msgspec.Raw])  # type: ignore[valid-type]
    one = msgspec.msgpack.Decoder(kind)
    for body in _bodies(path):
        try:
            yield decoder.decode(body), 0
        except msgspec.MsgspecError:
            raws = parts.decode(body)
            found = [record for raw in raws if (record := _decoded(one, raw)) is not None]
            yield found, len(raws) - len(found)


def _decoded(decoder: msgspec.msgpack.Decoder[Row], raw: msgspec.Raw) -> Row | None:
    try:
        return decoder.decode(raw)
    except msgspec.MsgspecError:
        return None


def _bodies(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        size, place = path.stat().st_size, 0
        while place < size:
            file.seek(place)
            body = _body(file, size - place)
            if body is not None:
                yield body
                place += _HEADER.size + len(body)
            else:
                place = _next_frame(file, place + 1, size)


def _body(file: BinaryIO, left: int) -> bytes | None:
    """None: no whole frame begins here."""
    header = file.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    magic, length, crc = _HEADER.unpack(header)
    if magic != MAGIC or length > left - _HEADER.size:
        return None
    body = file.read(length)
    return body if zlib.crc32(body) == crc else None


def _next_frame(file: BinaryIO, place: int, size: int) -> int:
    """Where one may begin, from `place` on; `size` when none does."""
    while place < size:
        file.seek(place)
        block = file.read(_BLOCK)
        found = block.find(MAGIC)
        if found >= 0:
            return place + found
        if len(block) < _BLOCK:
            return size
        place += len(block) - len(MAGIC) + 1
    return size
