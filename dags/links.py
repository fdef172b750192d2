"""Links of a task to what it made: its MLflow run and the reports kept there, or the rollout it moved.

Airflow asks for them once, in the task's own process when it ends, and stores the answer.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink

from pipelines.settings import Settings


class TrackingLink(BaseOperatorLink):
    """The MLflow run of the node."""

    name = "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        del ti_key
        outcome = getattr(operator, "outcome", None)
        return outcome.tracking_url if outcome is not None else ""


class ReportsLink(BaseOperatorLink):
    """The artifacts of that run: Data Docs, statistics, anomalies, slice tables, the decision."""

    name = "Reports"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return artifacts_page(TrackingLink().get_link(operator, ti_key=ti_key))


def artifacts_page(run_url: str) -> str:
    """The artifact tab of an MLflow run's page; the query belongs to the fragment in MLflow's interface.

    >>> artifacts_page("http://127.0.0.1:5000/#/experiments/1/runs/ab?workflowType=machine_learning")
    'http://127.0.0.1:5000/#/experiments/1/runs/ab/artifacts?workflowType=machine_learning'
    """
    page, mark, query = run_url.partition("?")
    return f"{page.rstrip('/')}/artifacts{mark}{query}" if page else ""


class RolloutLink(BaseOperatorLink):
    """The page of the rollout that a task moved, drawn by the gateway."""

    name = "Rollout page"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        del ti_key
        report = getattr(operator, "report", {})
        shown = report.get("active") or report.get("queued") or {}
        return rollouts_page(Settings.from_environment(), shown.get("rollout", ""))


def rollouts_page(settings: Settings, rollout: str = "") -> str:
    """All rollouts, or the page of one."""
    return f"{settings.gateway_url}/rollouts{f'/{rollout}' if rollout else ''}"
