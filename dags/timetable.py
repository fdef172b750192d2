"""When a retrain runs and for which day: a partition per data day, keyed by its ISO date.

    DAG(..., schedule=DataDayTimetable("0 2 * * *", timezone="Europe/Berlin"))

A run that fires on 6 January has the partition `2026-01-05`, the calendar day before, whatever the cron. Airflow's own
`CronPartitionTimetable(run_offset=-1)` means the tick before instead: one week back for a weekly cron, and the same
day twice when clocks skip the hour of the tick. Backfills are asked for in data days.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Any

import pendulum
from airflow.timetables.base import DagRunInfo, Timetable
from airflow.timetables.trigger import CronPartitionTimetable

from pipelines.errors import SpecError
from pipelines.spec import Schedule

ONE_DAY = datetime.timedelta(days=1)
_ONCE_A_DAY = re.compile(r"(?P<minute>\d{1,2}) (?P<hour>\d{1,2})( [\d*,/-]+){3}")


class DataDayTimetable(CronPartitionTimetable):
    """Registered in `dags.plugin`, because Airflow stores a DAG's timetable by name."""

    def __init__(self, cron: str, *, timezone: Any) -> None:
        super().__init__(cron, timezone=timezone, key_format="%Y-%m-%d")

    def serialize(self) -> dict[str, Any]:
        stored = super().serialize()
        return {name: stored[name] for name in ("expression", "timezone")}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> Timetable:
        return cls(data["expression"], timezone=data["timezone"])

    @property
    def summary(self) -> str:
        return f"{self._expression}, on the day before"

    def iter_partition_dagrun_infos(
        self, *, earliest: datetime.datetime, latest: datetime.datetime
    ) -> Iterable[DagRunInfo]:
        """The data days from `earliest` to `latest`, both included, on whose next day the cron fires."""
        first, last = (self.localize_partition_datetime(bound) for bound in (earliest, latest))
        tick = self._align_to_next(pendulum.instance(first + ONE_DAY))
        while (partition := self._get_partition_date(run_date=tick)) <= last:
            yield DagRunInfo(
                run_after=partition,
                data_interval=None,
                partition_date=partition,
                partition_key=self._format_key(partition),
            )
            tick = self._get_next(tick)

    def _get_partition_date(self, *, run_date: Any) -> pendulum.DateTime:
        """Midnight at which the data day begins."""
        day = pendulum.instance(run_date).in_timezone(self._timezone).date() - ONE_DAY
        return pendulum.datetime(day.year, day.month, day.day, tz=self._timezone).in_timezone("UTC")


def timetable_of(schedule: Schedule) -> DataDayTimetable:
    """Raises `SpecError` when the cron could fire twice a day, or is none."""
    found = _ONCE_A_DAY.fullmatch(schedule.cron)
    timetable = DataDayTimetable(schedule.cron, timezone=schedule.timezone)
    try:
        timetable.validate()
        fires = found is not None
    except Exception as error:  # noqa: BLE001 - the cron library's own kinds
        raise _refused(schedule, str(error)) from None
    if not fires:
        raise _refused(schedule, "its minute and hour are not single numbers")
    return timetable


def first_firing_day(schedule: Schedule) -> datetime.datetime:
    """Midnight after `schedule.start`, which is the first data day: its retrain fires on the next."""
    return datetime.datetime.combine(schedule.start + ONE_DAY, datetime.time(), tzinfo=schedule.zone)


def _refused(schedule: Schedule, reason: str) -> SpecError:
    return SpecError(
        f"`schedule.cron` must fire at most once a day: {reason}. Received: cron={schedule.cron!r}",
        fix="write e.g. `0 2 * * *`, or set `schedule.enabled: false` and trigger the runs yourself",
    )
