from __future__ import annotations

import datetime

import pytest
from airflow.serialization.decoders import decode_timetable
from airflow.serialization.encoders import encode_timetable
from airflow.timetables.base import TimeRestriction

from dags.timetable import first_firing_day, timetable_of
from pipelines.errors import SpecError
from pipelines.spec import Schedule

START = datetime.date(2026, 1, 1)


def scheduler_timetable(schedule: Schedule):
    """As the scheduler sees it: what a DAG declares goes through Airflow's serialization and the plugin."""
    return decode_timetable(encode_timetable(timetable_of(schedule)))


def fired(schedule: Schedule, *, runs: int) -> list[tuple[str, str]]:
    """Partition and moment of the first runs."""
    timetable, info, found = scheduler_timetable(schedule), None, []
    for _ in range(runs):
        restriction = TimeRestriction(first_firing_day(schedule), None, catchup=True)
        info = timetable.next_dagrun_info_v2(last_dagrun_info=info, restriction=restriction)
        found.append((info.partition_key, info.run_after.isoformat()))
    return found


def test_catchup_fires_the_day_after_each_data_day():
    schedule = Schedule(start=START, timezone="Europe/Berlin", catchup=True)
    assert fired(schedule, runs=2) == [
        ("2026-01-01", "2026-01-02T01:00:00+00:00"),
        ("2026-01-02", "2026-01-03T01:00:00+00:00"),
    ]


def test_without_catchup_only_yesterday_is_made_up_for():
    schedule = Schedule(start=datetime.date(2020, 1, 1))
    restriction = TimeRestriction(first_firing_day(schedule), None, catchup=False)
    info = scheduler_timetable(schedule).next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)
    assert info.partition_key == (info.run_after.date() - datetime.timedelta(days=1)).isoformat()
    assert info.run_after > datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC"])
@pytest.mark.parametrize("start", [datetime.date(2026, 3, 7), datetime.date(2026, 3, 27), datetime.date(2026, 10, 23)])
def test_no_day_is_left_out_or_done_twice_when_clocks_change(zone: str, start: datetime.date):
    schedule = Schedule(start=start, timezone=zone, cron="30 2 * * *", catchup=True)
    days = [day for day, _ in fired(schedule, runs=5)]
    assert days == [(start + datetime.timedelta(days=number)).isoformat() for number in range(5)]


def test_a_weekly_cron_learns_from_the_day_before_it_fires():
    days = fired(Schedule(start=START, cron="0 2 * * 1", catchup=True), runs=2)
    assert days == [("2026-01-04", "2026-01-05T02:00:00+00:00"), ("2026-01-11", "2026-01-12T02:00:00+00:00")]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_a_backfill_is_asked_for_in_data_days(zone: str):
    timetable = scheduler_timetable(Schedule(start=START, timezone=zone))
    bounds = [datetime.datetime(2026, 1, day, tzinfo=datetime.UTC) for day in (5, 7)]
    infos = list(timetable.iter_partition_dagrun_infos(earliest=bounds[0], latest=bounds[1]))
    assert [info.partition_key for info in infos] == ["2026-01-05", "2026-01-06", "2026-01-07"]
    # A run triggered for a partition and a scheduled or backfilled one mean the same instant, so that Airflow
    # knows that the day was done.
    assert [info.partition_date for info in infos] == [
        timetable.resolve_partition_date(info.partition_key) for info in infos
    ]


@pytest.mark.parametrize("cron", ["0 * * * *", "*/5 2 * * *", "0 2,14 * * *", "61 2 * * *", "whenever", "0 2 * *"])
def test_a_cron_that_could_fire_twice_a_day_is_refused(cron: str):
    with pytest.raises(SpecError, match=r"at most once a day.*Received: cron="):
        timetable_of(Schedule(start=START, cron=cron))
