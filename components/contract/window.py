"""A window of several days: each is judged alone, as on its own day, and only once.

judged, earlier = judge_window(pipeline, data, day, expectations, rows_folder, quarantine_folder, rows_limit=0, force=False)

`judged` is the data day, on which the verdict is. An earlier day that its contract refuses is left out, unless forced.
"""

from __future__ import annotations

import datetime
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path

from great_expectations.expectations.expectation import Expectation

from components.contract.formats import open_files
from components.contract.judging import Judged, judge_into
from components.contract.reading import NoRowsError, RawDay
from components.contract.report import Earlier, contract_report
from components.contract.source import days_of_window, files_by_day, fingerprint_of_day
from components.contract.writing import QUARANTINE_FILE
from components.days.identity import code_key, key_of
from components.days.listing import Day, Days
from components.days.store import DayStore, Entry, place
from components.decision.report import Verdict
from pipelines.errors import TransientError
from pipelines.settings import Settings
from pipelines.spec import Data
from pipelines.storage import File

STAGE = "contract"
_ROWS, _JUDGED = "rows.parquet", "judged.pickle"
_LATER = {"splits", "split_key", "downsample", "min_rows", "max_quarantined", "source"}
"""Settings that do not change which rows are kept, and the source, of which the fingerprint tells."""


def judge_window(
    pipeline: str,
    data: Data,
    day: datetime.date,
    expectations: Sequence[Expectation],
    rows: Path,
    quarantine: Path,
    *,
    rows_limit: int,
    force: bool,
) -> tuple[Judged, Earlier]:
    """Writes the rows of each day to a file of its own, and `days.json`; the quarantine of an earlier day bears its name.

    Raises:
        DataError: the data day has no rows, or a day is unreadable or not of the declared columns.
        TransientError: files changed while they were read.
    """
    found = _files(data, day)
    share = -(-rows_limit // len(found))
    listed: list[Day] = []
    earlier = Earlier()
    with DayStore.opened(pipeline) as store:
        judging = _Judging(pipeline, data, expectations, store, rows_limit=share)
        for number, (one, paths) in enumerate(found.items()):
            entry = judging.entry(one, paths, required=one == day)
            if entry is None:
                earlier.missing.append(one)
                continue
            judged: Judged = pickle.loads(entry.path(_JUDGED).read_bytes())  # noqa: S301  # our own, its digest checked
            if one != day and not force and (reason := _refusal(judged, data, rows_limit=share)):
                earlier.left_out[one] = reason
                continue
            place(entry.path(_ROWS), rows / f"rows-{number:05d}-of-{len(found):05d}.parquet")
            place(
                entry.path(QUARANTINE_FILE),
                quarantine / (QUARANTINE_FILE if one == day else f"quarantine-{one}.parquet"),
            )
            listed.append(Day(day=str(one), digest=entry.digest_of(_ROWS), first=len(listed), count=1))
            if one != day:
                earlier.kept[one] = judged.read_count - judged.quarantined_count
        store.prune(STAGE)
    Days(pipeline=pipeline, days=tuple(listed)).write(rows)
    print(f"{len(listed)} days, {judging.made} of them judged now", flush=True)
    return judged, earlier


def _files(data: Data, day: datetime.date) -> Mapping[datetime.date, Sequence[File] | None]:
    """Oldest first; none where a day has no file, and no paths where it has a query."""
    if data.source.is_query:
        return {one: [] for one in days_of_window(data.source, day)}
    return {one: paths or None for one, paths in files_by_day(data.source, day, Settings.from_environment()).items()}


def _refusal(judged: Judged, data: Data, *, rows_limit: int) -> str:
    """Why its own contract would refuse an earlier day, or nothing. Few rows are no reason: they are sound ones."""
    report = contract_report(judged, data.model_copy(update={"min_rows": 1}), rows_limit=rows_limit)
    return report.reason if report.verdict is Verdict.REFUSED else ""


class _Judging:
    def __init__(
        self, pipeline: str, data: Data, expectations: Sequence[Expectation], store: DayStore, *, rows_limit: int
    ) -> None:
        self._data, self._expectations, self._store, self._limit = data, expectations, store, rows_limit
        source = data.source.model_dump_json(exclude={"path", "query", "version_query", "url_env", "window_days"})
        self._key = key_of(
            code_key("components.contract", f"pipelines.{pipeline}.expectations"),
            *(str(expectation.configuration) for expectation in expectations),
            data.model_dump_json(exclude=_LATER),
            source,
            str(rows_limit),
        )
        self.made = 0

    def entry(self, day: datetime.date, paths: Sequence[File] | None, *, required: bool) -> Entry | None:
        """None when the day has no rows."""
        if paths is None:
            return None
        fingerprint = fingerprint_of_day(self._data.source, day, paths)
        key = key_of(self._key, str(day), fingerprint)
        if found := self._store.find(STAGE, key):
            return found
        self.made += 1
        with self._store.new() as folder:
            try:
                self._judge(day, paths, folder, required=required)
            except NoRowsError:
                if required:
                    raise
                return None
            if paths and fingerprint_of_day(self._data.source, day, paths) != fingerprint:
                raise TransientError(
                    f"the files of {day} must not change while they are read. Received: other contents than before",
                    fix="run the day again when what writes them is done",
                )
            return self._store.add(STAGE, key, folder)

    def _judge(self, day: datetime.date, paths: Sequence[File], folder: Path, *, required: bool) -> None:
        raw = RawDay(open_files(self._data, day, paths, required=required), self._data)
        judged = judge_into(
            folder / _ROWS,
            folder / QUARANTINE_FILE,
            raw,
            self._data,
            day,
            self._expectations,
            rows_limit=self._limit,
        )
        (folder / _JUDGED).write_bytes(pickle.dumps(judged))
