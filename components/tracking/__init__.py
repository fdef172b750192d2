"""Tracking: every run, parameter, metric and artifact in MLflow, through an outbox that survives the server.

from components.tracking import current, report_outcome

current().log_metrics({"loss": 0.41}, step=100)
url = report_outcome(outcome, settings=settings)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.tracking.tracker import Tracker, current

if TYPE_CHECKING:
    from pipelines.outcome import Outcome
    from pipelines.settings import Settings

__all__ = ["Tracker", "current", "report_outcome"]


def report_outcome(outcome: Outcome, *, settings: Settings) -> str:
    """Tells the server how a node ended; returns the run's page or "". Never raises."""
    from components.tracking.nodes import report_outcome as report

    return report(outcome, settings=settings)
