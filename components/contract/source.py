"""Where a day's raw data is, and what it was when it was read.

    files_by_day(data.source, day, settings)[day]
    stamp = source_fingerprint(manifest, {"day": "2026-01-05"})

A path is local or a URI such as `s3://bucket/{day}/*.parquet`; a relative one starts where the project lies.
"""

from __future__ import annotations

import datetime
import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from components.contract.query import executed
from pipelines.errors import DataError, SpecError, bounded
from pipelines.manifest import Manifest
from pipelines.settings import Settings
from pipelines.spec import Data, Source
from pipelines.storage import File, RemoteFile, is_remote, matching, version_of

# Above this, size and time of change stand for the content: hashing costs a second per gigabyte.
HASHED_BYTES = 64 * 2**20


def parse_day(text: str, *, today: datetime.date | None = None) -> datetime.date:
    """Raises `DataError` for what is no date, or a day that is not over anywhere yet."""
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            f"`day` must be a date such as 2026-01-05. Received: day={text!r}", fix="write it as YYYY-MM-DD"
        ) from error
    if day > (today or datetime.datetime.now(datetime.UTC).date()):
        raise DataError(f"`day` must not be in the future. Received: day={day}", fix="wait until that day is over")
    return day


def files_by_day(source: Source, day: datetime.date, settings: Settings) -> dict[datetime.date, list[File]]:
    """The files of each day of the window, oldest first; all under `day` where the rows say when they happened.

    Raises:
        DataError: the day itself has no file.
    """
    pattern = settings.expand(source.path)
    if not is_remote(pattern) and not Path(pattern).is_absolute():
        pattern = str(settings.home / pattern)
    if source.time_column is not None:
        return {day: matching(pattern) or _no_file(pattern)}
    days = days_of_window(source, day)
    found = {one: matching(pattern.replace("{day}", str(one))) for one in days}
    return found if found[day] else _no_day(pattern, day)


def days_of_window(source: Source, day: datetime.date) -> list[datetime.date]:
    """Oldest first; `day` alone where the rows say when they happened."""
    days = source.window_days if source.time_column is None else 1
    return [day - datetime.timedelta(days=age) for age in reversed(range(days))]


def is_window(source: Source) -> bool:
    """Whether the data day comes with others, each in files of its own."""
    return source.time_column is None and source.window_days > 1


def fingerprint_of_day(source: Source, day: datetime.date, paths: Sequence[File]) -> str:
    """Digest over name and content of the files of one day; of a query as for `source_fingerprint`."""
    if source.is_query:
        return _digest([str(source.query), f"{day} {_version(source, day)}"])
    return _digest([f"{path.name} {content_of(path)}" for path in paths])


def source_fingerprint(manifest: Manifest, parameters: Mapping[str, str | int]) -> str:
    """Digest over name and content of every file the day reads; a copy of the same file is the same.

    Of files on a storage: its own digest of the content.

    Of a query: over its text and what `version_query` answers; without one every digest is new.
    """
    if manifest.spec is None:
        raise SpecError("the manifest holds no spec", fix=f"run `daybreak compile {manifest.pipeline}`")
    source = Data.model_validate(manifest.spec["data"]).source
    last = parse_day(str(parameters["day"]))
    if source.is_query:
        versions = [f"{day} {_version(source, day)}" for day in days_of_window(source, last)]
        return _digest([str(source.query), *versions])
    files = files_by_day(source, last, Settings.from_environment())
    return _digest([f"{day} {path.name} {content_of(path)}" for day, paths in files.items() for path in paths])


def _digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:16]


def _version(source: Source, day: datetime.date) -> str:
    if source.version_query is None:
        return uuid.uuid4().hex
    if source.format == "bigquery":
        from components.contract.bigquery import answer  # which imports Google's client: a second in a cold process

        return answer(source, source.version_query, day)
    with executed(source, source.version_query, day) as result:
        return str(result.fetchall())


def content_of(path: File) -> str:
    if isinstance(path, RemoteFile):
        return version_of(path)
    status = path.stat()
    if status.st_size > HASHED_BYTES:
        return f"{status.st_size}:{status.st_mtime_ns}"
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except PermissionError as error:
        raise DataError("no permission to read the file", fix="give this user read access", place=str(path)) from error


def _no_file(pattern: str) -> NoReturn:
    raise DataError(
        f"there is no data at {pattern}", fix="correct `data.source.path`, or the environment variable it names"
    )


def _no_day(pattern: str, day: datetime.date) -> NoReturn:
    days = _days(pattern)
    there = (
        f"there are {bounded(days[-5:])}" + (f" and {len(days) - 5} before" if len(days) > 5 else "") if days else ""
    )
    raise DataError(
        f"there is no data of {day}: nothing matches {pattern.replace('{day}', str(day))}"
        + (f"; {there}" if there else ""),
        fix="load that day's files, or choose a day that has some",
    )


def _days(pattern: str) -> list[str]:
    finder = re.compile(re.escape(pattern).replace(re.escape("{day}"), r"(\d{4}-\d{2}-\d{2})").replace(r"\*", ".*"))
    found = (finder.fullmatch(str(path)) for path in matching(pattern.replace("{day}", "*")))
    return sorted({match[1] for match in found if match})
