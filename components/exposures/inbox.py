"""Outcomes by file: Parquet, CSV or JSON lines in `<log>/inbox/`, or `python -m components.exposures import FILE`.

    import_file(Path("purchases.csv"), log)      # rows taken over; DataError: nothing is
    import_inbox(log)                            # all files there; what is refused lies in `inbox/refused/`, with the reason

Columns are those of the outcomes; `item_id` and `received` may be left out. The same file is taken over once, by its content.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from components.exposures.archiving import by_day, day_file, locked
from components.exposures.journal import OUTCOMES
from components.exposures.records import now_micros
from components.exposures.schema import OUTCOMES as COLUMNS
from pipelines.errors import DataError, bounded, one_line

INBOX, REFUSED = "inbox", "refused"
_OPTIONAL = {"item_id", "received"}
# 2001 and 2100: seconds and milliseconds of our days are less, nanoseconds more.
_EARLIEST, _LATEST = 1_000_000_000_000_000, 4_102_444_800_000_000


def import_inbox(log: Path) -> dict[str, str]:
    """Why a file was refused, by name."""
    refused = {}
    for path in sorted((log / INBOX).glob("[!.]*")):
        if not path.is_file():
            continue
        try:
            import_file(path, log)
            path.unlink(missing_ok=True)
        except DataError as error:
            logging.getLogger(__name__).error("%s", error)
            refused[path.name] = str(error)
            folder = log / INBOX / REFUSED
            folder.mkdir(exist_ok=True)
            (folder / f"{path.name}.txt").write_text(f"{error}\n")
            os.replace(path, folder / path.name)
    return refused


def import_file(path: Path, log: Path) -> int:
    """Rows that are in the log now; 0 when the file was taken over before.

    Raises:
        DataError: it cannot be read, or a row is wrong; then nothing was taken over.
    """
    digest = _digest(path)
    taken = log / INBOX / ".taken" / digest
    taken.parent.mkdir(parents=True, exist_ok=True)
    with locked(log / INBOX / ".lock"):
        if taken.exists():
            return 0
        batch = _batch(_outcomes(_read(path), path))
        with ExitStack() as stack:
            for day, part in by_day(batch):
                # The name is of the content: an import that was killed gives the same files the next time.
                name = f"file-{digest[:16]}.parquet"
                stack.enter_context(day_file(log / OUTCOMES / f"day={day}" / name, COLUMNS)).write_batch(part)
        taken.touch()
        return int(batch.num_rows)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _refusal(path, f"cannot be read: {one_line(error)}", "give the path of a file") from error


_READERS: Mapping[str, Callable[[Path], pa.Table]] = {
    ".parquet": lambda path: pq.read_table(path, partitioning=None),
    ".csv": lambda path: pyarrow.csv.read_csv(
        path,
        convert_options=pyarrow.csv.ConvertOptions(
            column_types={field.name: field.type for field in COLUMNS}, strings_can_be_null=False
        ),
    ),
    ".jsonl": lambda path: pyarrow.json.read_json(
        path, parse_options=pyarrow.json.ParseOptions(explicit_schema=COLUMNS, unexpected_field_behavior="error")
    ),
}


def _read(path: Path) -> pa.Table:
    reader = _READERS.get(path.suffix)
    if reader is None:
        raise _refusal(path, f"must end in one of {bounded(_READERS)}", "rename it to what it is")
    try:
        return reader(path)
    except (OSError, pa.ArrowException) as error:
        raise _refusal(path, f"cannot be read: {one_line(error)}", _EXPECTED) from error


def _outcomes(table: pa.Table, path: Path) -> pa.Table:
    given = set(table.column_names)
    wrong = sorted({field.name for field in COLUMNS} - _OPTIONAL - given) + sorted(given - set(COLUMNS.names))
    if wrong:
        raise _refusal(path, f"must have the columns of outcomes. Missing or unknown: {bounded(wrong)}", _EXPECTED)
    arrays = []
    for field in COLUMNS:
        if field.name in given:
            arrays.append(_cast(table.column(field.name), field, path))
        else:
            default = "" if field.name == "item_id" else now_micros()
            arrays.append(pa.chunked_array([pa.repeat(pa.scalar(default, field.type), table.num_rows)]))
    found = pa.table(arrays, schema=COLUMNS)
    _require_values(found, path)
    return found


def _cast(column: pa.ChunkedArray, field: pa.Field, path: Path) -> pa.ChunkedArray:
    """Optional values that are missing row by row get their defaults too."""
    try:
        cast = column.cast(field.type)
    except pa.ArrowException as error:
        raise _refusal(path, f"`{field.name}` must be {field.type}: {one_line(error)}", _EXPECTED) from error
    return cast.fill_null("" if field.name == "item_id" else now_micros()) if field.name in _OPTIONAL else cast


def _require_values(table: pa.Table, path: Path) -> None:
    rules = {
        "`outcome_id`, `decision_id` and `name` must be given": pc.or_(
            pc.or_(_empty(table.column("outcome_id")), _empty(table.column("decision_id"))),
            _empty(table.column("name")),
        ),
        "`value` must be a finite number": pc.invert(pc.is_finite(table.column("value")).fill_null(False)),
        "`time` and `received` must be microseconds since 1970": pc.or_(
            _no_time(table.column("time")), _no_time(table.column("received"))
        ),
    }
    for rule, broken in rules.items():
        rows = pc.indices_nonzero(broken).to_pylist()
        if rows:
            raise _refusal(path, f"{rule}. Wrong in row {bounded(row + 1 for row in rows)}", "correct these rows")


def _empty(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.equal(column.fill_null(""), "")


def _no_time(column: pa.ChunkedArray) -> pa.ChunkedArray:
    filled = column.fill_null(0)
    return pc.or_(pc.less(filled, _EARLIEST), pc.greater(filled, _LATEST))


def _batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=COLUMNS)


_EXPECTED = f"columns {', '.join(f'{field.name} ({field.type})' for field in COLUMNS)}; the times in microseconds, UTC"


def _refusal(path: Path, why: str, fix: str) -> DataError:
    return DataError(f"a file of outcomes {why}", fix=fix, place=str(path))
