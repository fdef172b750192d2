"""What Airflow must know in every process; found by the project's `airflow.plugins` entry point."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from dags.links import rollouts_page
from dags.timetable import DataDayTimetable
from pipelines.settings import Settings


class DaybreakPlugin(AirflowPlugin):
    name = "daybreak"
    timetables = [DataDayTimetable]
    # With a route of its own Airflow shows it inside its frame.
    external_views = [
        {
            "name": "Rollouts",
            "href": rollouts_page(Settings.from_environment()),
            "destination": "nav",
            "url_route": "rollouts",
        }
    ]
