"""What a retrain is asked to do: the trigger form, and how it is read back.

    DAG(..., params=trigger_form())
    RunParameters.of(context, zone=schedule.zone).day

Airflow validates the form's types; what needs today's date or the run's partition is checked when the run starts.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk import Param

from pipelines.errors import DataError, SpecError, bounded
from pipelines.override import Override
from pipelines.spec import ClusterKind

DAY, FORCE, REASON, SKIP_CACHE, ROWS_LIMIT, CLUSTER = "day", "force", "reason", "skip_cache", "rows_limit", "cluster"
_AS_DECLARED = "as declared"
_FIX = "trigger the DAG again with a corrected form"


def trigger_form() -> dict[str, Param]:
    """The form of a manual trigger; Airflow's API refuses what does not fit it."""
    return {
        DAY: Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day",
            description_md="The data day, `YYYY-MM-DD`. Empty: the run's partition, else the day before the trigger.",
        ),
        FORCE: Param(
            False,
            type="boolean",
            title="Force",
            description_md="Go on although a gate refuses. Needs a reason; you and it are recorded.",
        ),
        REASON: Param(
            None,
            type=["null", "string"],
            maxLength=500,
            title="Reason",
            description_md="Why the run is forced. Stands in the decision record and, when it promotes, in the ledger.",
        ),
        SKIP_CACHE: Param(
            False,
            type="boolean",
            title="Skip cache",
            description_md="Run every node, also those whose inputs are unchanged.",
        ),
        ROWS_LIMIT: Param(
            0,
            type="integer",
            minimum=0,
            title="Rows limit",
            description_md="Read at most so many rows. 0: all of them.",
        ),
        # An empty choice would lose its name in the form: Airflow shows the value of null as nothing.
        CLUSTER: Param(
            _AS_DECLARED,
            type="string",
            enum=[_AS_DECLARED, *(kind.value for kind in ClusterKind)],
            title="Cluster",
            description_md="Where the Beam stages run. The results, and what is reused, are the same everywhere.",
        ),
    }


@dataclass(frozen=True, kw_only=True)
class RunParameters:
    day: datetime.date
    override: Override | None = None
    """Who forces the run, and why."""
    skip_cache: bool = False
    rows_limit: int = 0
    cluster: ClusterKind | None = None
    """None: as the spec declares."""

    @classmethod
    def of(cls, context: Mapping[str, Any], *, zone: ZoneInfo) -> RunParameters:
        """Reads a task's or a DAG callback's context; the same for every try, because `run_after` never changes."""
        run = context["dag_run"]
        return cls.read(
            context.get("params") or {},
            partition_key=run.partition_key,
            run_after=run.run_after,
            zone=zone,
            user=run.triggering_user_name or "",
        )

    @classmethod
    def read(
        cls,
        form: Mapping[str, Any],
        *,
        partition_key: str | None,
        run_after: datetime.datetime,
        zone: ZoneInfo,
        user: str = "",
        today: datetime.date | None = None,
    ) -> RunParameters:
        """`user` triggered the run. Raises `SpecError` for a form that contradicts itself and `DataError` for a day in the future."""
        asked = {DAY: form.get(DAY), "partition": partition_key}
        days = {name: _date(text, name=name) for name, text in asked.items() if text}
        if len(set(days.values())) > 1:
            received = ", ".join(f"{name}={day}" for name, day in days.items())
            raise SpecError(
                f"`day` and the run's partition must be the same day, or `day` empty. Received: {received}", fix=_FIX
            )
        day = next(iter(days.values()), run_after.astimezone(zone).date() - datetime.timedelta(days=1))
        today = today or datetime.datetime.now(zone).date()
        if day > today:
            raise DataError(f"`day` must not be after today, {today} in {zone}. Received: day={day}", fix=_FIX)
        return cls(
            day=day,
            override=_override(form, user=user),
            skip_cache=bool(form.get(SKIP_CACHE)),
            rows_limit=_rows(form),
            cluster=_cluster(form),
        )

    def arguments(self, *, with_defaults: bool) -> list[str]:
        """As the node command takes them, the day aside.

        Pipelines made of a spec get every one `with_defaults`, because TFX's compiler does not keep a default of 0; a
        plain TFX pipeline, which may have no such parameters, gets what was asked for.
        """
        asked = {ROWS_LIMIT: self.rows_limit}
        given = {name: value for name, value in asked.items() if value or with_defaults}
        settings = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
        elsewhere = ["--cluster", self.cluster.value] if self.cluster else []
        forced = [f"--user={self.override.user}", f"--reason={self.override.reason}"] if self.override else []
        return [*settings, *["--skip-cache"] * self.skip_cache, *elsewhere, *["--force"] * bool(forced), *forced]


def _date(text: object, *, name: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(str(text))
    except ValueError:
        raise SpecError(f"`{name}` must be a date such as 2026-01-05. Received: {name}={text!r}", fix=_FIX) from None


def _override(form: Mapping[str, Any], *, user: str) -> Override | None:
    reason = str(form.get(REASON) or "")
    if form.get(FORCE):
        return Override.of(user=user, reason=reason)
    if reason.strip():
        raise SpecError(f"`reason` says why a run is forced, and `force` is off. Received: reason={reason!r}", fix=_FIX)
    return None


def _cluster(form: Mapping[str, Any]) -> ClusterKind | None:
    name = form.get(CLUSTER) or _AS_DECLARED
    if name == _AS_DECLARED:
        return None
    if name not in list(ClusterKind):
        raise SpecError(
            f"`cluster` must be one of {bounded([_AS_DECLARED, *ClusterKind])}. Received: cluster={name!r}", fix=_FIX
        )
    return ClusterKind(name)


def _rows(form: Mapping[str, Any]) -> int:
    limit = form.get(ROWS_LIMIT) or 0
    if not isinstance(limit, int) or limit < 0:
        raise SpecError(f"`rows_limit` must be a whole number >= 0. Received: rows_limit={limit!r}", fix=_FIX)
    return limit
