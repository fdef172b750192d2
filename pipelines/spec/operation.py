"""When a run starts, what it may take, and where its Beam stages run: `schedule`, `budget`, `resources`, `cluster`."""

from __future__ import annotations

import datetime
import enum
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from pipelines.errors import bounded
from pipelines.spec.base import Frozen, Positive


class Schedule(Frozen):
    cron: str = "0 2 * * *"
    """When the day before is retrained on, in `timezone`."""
    timezone: str = "UTC"
    start: datetime.date
    catchup: bool = False
    enabled: bool = True

    @field_validator("timezone")
    @classmethod
    def _known_timezone(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("must be an IANA name such as UTC or Europe/Berlin") from error
        return timezone

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Budget(Frozen):
    hours: Annotated[float, Field(gt=0, le=168)] = 24
    """From the run's start to the last task; then the run is stopped."""
    warn_hours: Positive | None = None
    """A first alert. Default: three quarters of `hours`."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """Of a node whose exit code says that a retry can help."""

    @model_validator(mode="after")
    def _warn_before_end(self) -> Self:
        if self.warn_hours is not None and self.warn_hours >= self.hours:
            raise ValueError(f"`warn_hours` {self.warn_hours} must be below `hours` {self.hours}")
        return self

    @property
    def warn_after_hours(self) -> float:
        return self.warn_hours if self.warn_hours is not None else self.hours * 0.75


class Resources(Frozen):
    slots: Annotated[int, Field(ge=1)] = 1
    """Slots of the Airflow pool `daybreak`; a machine has as many as cores."""
    timeout_minutes: Positive = 120


LOCAL_WORKERS_LIMIT = 256
"""More threads than a machine has cores are a slip of the pen, and each holds two row groups."""


class ClusterKind(enum.StrEnum):
    LOCAL = "local"
    FLINK = "flink"
    SPARK = "spark"
    DATAFLOW = "dataflow"


class Cluster(Frozen):
    """Where the Beam stages run. `cluster: flink` is short for `cluster: {kind: flink}`.

    Texts may hold `${NAME:-default}`. Nothing here changes what is written, so nothing is part of a cache key.
    """

    kind: ClusterKind = ClusterKind.LOCAL
    workers: Annotated[int, Field(ge=1)] | None = None
    """Local: threads, at most `LOCAL_WORKERS_LIMIT`; Flink: parallelism; Dataflow: machines; Spark decides itself.
    Default: what the machine or the cluster has."""
    job_endpoint: str = ""
    """`host:port` of Beam's job server. Default: the cluster of this machine, `daybreak cluster up`."""
    worker_pool: str = ""
    """`host:port` of the Python workers as each machine of the cluster sees it. Default: `localhost:50000`."""
    project: str = ""
    region: str = ""
    temp_location: str = ""
    """`gs://…`, for staging too."""
    container_image: str = ""
    """An image with this repository and its ML environment."""
    beam_args: tuple[str, ...] = ()
    """Further Beam options, such as `--machine_type=n2-standard-8`."""

    @model_validator(mode="before")
    @classmethod
    def _kind_alone(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _settings_fit_kind(self) -> Self:
        portable, google = ("job_endpoint", "worker_pool"), ("project", "region", "temp_location", "container_image")
        unfit = {
            ClusterKind.LOCAL: (*portable, *google, "beam_args"),
            ClusterKind.FLINK: google,
            ClusterKind.SPARK: (*google, "workers"),
            ClusterKind.DATAFLOW: portable,
        }[self.kind]
        if given := [name for name in unfit if getattr(self, name)]:
            raise ValueError(f"`kind: {self.kind}` has no {bounded(given)}; remove them or change `kind`")
        if self.kind is ClusterKind.LOCAL and (self.workers or 0) > LOCAL_WORKERS_LIMIT:
            raise ValueError(
                f"`workers` of `kind: local` are threads of one machine, at most {LOCAL_WORKERS_LIMIT}; "
                "leave them out for one per core"
            )
        if self.kind is ClusterKind.DATAFLOW and (missing := [name for name in google if not getattr(self, name)]):
            raise ValueError(f"`kind: dataflow` needs {bounded(google)}; add {bounded(missing)}")
        if self.worker_pool and not self.job_endpoint:
            raise ValueError("`worker_pool` belongs to `job_endpoint`: give both or neither")
        return self
