"""What a person asks of a rollout: the trigger forms of its DAGs, and how they are read back.

DAG(..., params=action_form())
action_of(context).arguments()          # ["abort", "--actor", "ann", "--reason", "revenue fell"]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from airflow.sdk import Param

from pipelines.errors import SpecError

NOW, AFTER_DAY, ACTION, REASON, ROLLOUT = "now", "after_day", "action", "reason", "rollout"
APPROVE, ABORT = "Approve", "Abort"
ACTIONS = ("pause", "resume", "abort", "approve", "force", "force --promote")
_FIX = "trigger the DAG again with a corrected form"
_ONE_DAY = timedelta(days=1)


def tick_form() -> dict[str, Param]:
    return {
        NOW: _now(),
        AFTER_DAY: Param(
            None,
            type=["null", "string"],
            format="date",
            title="After day",
            description_md="Of a simulated pipeline: not before the end of this day. A retrain says which one it learned from.",
        ),
    }


def _now() -> Param:
    return Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="Now",
        description_md="A simulated time, such as `2026-01-05T18:00:00Z`. Empty: the clock of the rollout.",
    )


def action_form() -> dict[str, Param]:
    return {
        ACTION: Param(
            ACTIONS[0],
            type="string",
            enum=list(ACTIONS),
            title="Action",
            description_md="`abort`: back to the champion, at once. `pause`: nobody moves until `resume`. `force`: the next "
            "stage, whatever the statistics say.",
        ),
        # Airflow stores no DAG with a default that its own schema refuses, so an empty one is refused by the task.
        REASON: Param(
            "",
            type="string",
            maxLength=500,
            title="Reason",
            description_md="Why. Required: you and it stand in the rollout's events for good.",
        ),
        ROLLOUT: Param(
            None,
            type=["null", "string"],
            title="Rollout",
            description_md="Its id. Empty: the one under way, else the queued one.",
        ),
        NOW: _now(),
    }


@dataclass(frozen=True)
class Action:
    name: str
    actor: str
    reason: str
    rollout: str = ""

    def arguments(self) -> list[str]:
        named = [f"--rollout={self.rollout}"] if self.rollout else []
        return [self.name, f"--actor={self.actor}", f"--reason={self.reason}", *named]


def action_of(form: Mapping[str, Any], *, user: str) -> Action:
    """Raises `SpecError` without a reason or a user; Airflow's API has checked the rest."""
    reason = " ".join(str(form.get(REASON) or "").split())
    if not reason or not user:
        raise SpecError(
            f"an action needs a user and a reason, which the events keep. Received: user={user!r}, reason={reason!r}",
            fix=_FIX,
        )
    return Action(str(form[ACTION]), user, reason, str(form.get(ROLLOUT) or ""))


def answer_of(answer: Mapping[str, Any], *, rollout: str) -> Action:
    """What a person said to the approval task."""
    [chosen] = answer["chosen_options"]
    user = answer.get("responded_by_user") or {}
    reason = " ".join(str((answer.get("params_input") or {}).get(REASON) or "").split())
    name = "approve" if chosen == APPROVE else "abort"
    return Action(name, str(user.get("name") or user.get("id") or "airflow"), reason or f"{chosen} in Airflow", rollout)


def clock_arguments(form: Mapping[str, Any], *, simulated: bool) -> list[str]:
    """A simulated pipeline without `now` stays at its own clock."""
    if now := form.get(NOW):
        return ["--now", str(now)]
    if not simulated:
        return []
    day = form.get(AFTER_DAY)
    at_least = [f"--at-least={date.fromisoformat(str(day)) + _ONE_DAY}T00:00:00Z"] if day else []
    return ["--now", "latest", *at_least]
