"""What Airflow must know in every process; found by the project's `airflow.plugins` entry point."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from dags.timetable import DataDayTimetable


class DaybreakPlugin(AirflowPlugin):
    name = "daybreak"
    timetables = [DataDayTimetable]
