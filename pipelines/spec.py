"""The spec of one pipeline: `pipelines/<name>/pipeline.yaml`, frozen and self-checking.

    from pipelines.spec import load_spec

    spec = load_spec("shop")
    spec.data.label, spec.train.epochs
    print(spec.model_dump_json(indent=2))

Every problem names file, path, what is allowed, what was received and the fix; all problems come in one error.
Importable in every environment: pydantic and PyYAML only.
"""

from __future__ import annotations

import datetime
import enum
import importlib.util
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipelines.errors import SpecError, bounded

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
_CREDENTIALS = re.compile(r"://[^/@]+@")


MAX_BYTES_BILLED = 2**40


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ColumnType(enum.StrEnum):
    """Types of the raw columns; the plural ones are variable-length lists."""

    INT = "int"
    FLOAT = "float"
    STRING = "string"
    BOOL = "bool"
    INTS = "ints"
    FLOATS = "floats"
    STRINGS = "strings"
    IMAGE = "image"
    """A PNG or JPEG: its bytes, or its path below `data.images.root`."""


class Source(Frozen):
    format: Literal["parquet", "csv", "jsonl", "tfrecord", "sql", "bigquery"]
    """`jsonl` and `tfrecord` (of tf.Examples) may be gzipped: then their names end in `.gz`."""
    path: str = ""
    """File, or glob with `{day}` for files partitioned by day; `${NAME:-default}` is read from the environment.
    Local, or a URI: `s3://`, `gs://` or `hdfs://`, without credentials, which come from the environment (docs/storage.md)."""
    query: str | None = None
    """For `sql` and `bigquery`: gives the rows of `{day}`, in an order of its own (`ORDER BY`) if runs are to be equal."""
    version_query: str | None = None
    """For both: a cheap query that answers otherwise when the rows of `{day}` have changed, such as a count and the
    latest change. Without it no result is reused: every run reads the rows again."""
    url_env: str | None = None
    """For `sql`: the environment variable that holds the URL of the database, password included. It is written nowhere."""
    project: str = ""
    """For `bigquery`: who pays; `${NAME:-default}` is read from the environment. Default: the project of the credentials,
    which are Google's Application Default Credentials."""
    max_bytes_billed: Annotated[int, Field(ge=1)] = MAX_BYTES_BILLED
    """For `bigquery`: a query that would read more is refused before it costs anything."""
    time_column: str | None = None
    """For one file that holds many days: the column that says when a row happened."""
    time_format: Literal["iso", "epoch_seconds"] = "iso"
    window_days: Annotated[int, Field(ge=1, le=366)] = 1
    """Days of data one model learns from, the data day included."""

    @model_validator(mode="after")
    def _one_kind_of_place(self) -> Self:
        if self.format == "sql" and (self.path or not self.query or not self.url_env):
            raise ValueError("`format: sql` needs `query` and `url_env`, and has no `path`; a path is for files")
        if self.format == "bigquery" and (self.path or not self.query or self.url_env):
            raise ValueError("`format: bigquery` needs `query`, and has neither `path` nor `url_env`")
        if not self.is_query and (not self.path or self.query or self.url_env or self.version_query):
            raise ValueError(
                f"`format: {self.format}` needs `path`; `query`, `version_query` and `url_env` are for `format: sql`"
            )
        if self.format != "bigquery" and (self.project or self.max_bytes_billed != MAX_BYTES_BILLED):
            raise ValueError(f"`format: {self.format}` has no `project` or `max_bytes_billed`; remove them")
        return self

    @property
    def is_query(self) -> bool:
        return self.format in ("sql", "bigquery")

    @field_validator("path")
    @classmethod
    def _no_credentials(cls, path: str) -> str:
        if _CREDENTIALS.search(path):
            raise ValueError("a URI must not hold credentials; they come from the environment, see docs/storage.md")
        return path

    @model_validator(mode="after")
    def _one_way_to_find_a_day(self) -> Self:
        place = "query" if self.is_query else "path"
        if ("{day}" in (self.query or self.path)) == (self.time_column is not None):
            raise ValueError(
                f"a day is found either by `{{day}}` in `{place}` or by `time_column`, and by exactly one of them; "
                "remove the other"
            )
        return self


class Images(Frozen):
    """How columns of type `image` are read. What breaks a limit goes to quarantine."""

    root: str = ""
    """The folder, or URI, where the paths in such columns start; `${NAME:-default}` is read from the environment.
    Without it the columns hold the images themselves."""
    max_bytes: Annotated[int, Field(ge=1, le=2**26)] = 4 * 2**20
    """Of one image as it is stored."""
    max_pixels: Annotated[int, Field(ge=1, le=2**27)] = 25_000_000
    """Of one image as it is decoded: some kilobytes may hold gigabytes of one colour."""


class Downsample(Frozen):
    """Fewer negatives (label 0) to learn from, each with the weight of those it stands for."""

    keep_negatives: Annotated[float, Field(gt=0, lt=1)]
    """The share that is kept. A smaller one keeps a part of what a larger one keeps."""
    weight: Name = "example_weight"
    """Column of the transformed examples: 1 / `keep_negatives` for a negative, 1 for a positive."""
    splits: tuple[Name, ...] = ("train",)
    """The others, and what the gates evaluate, stay as they are."""


class Data(Frozen):
    source: Source
    columns: dict[str, ColumnType]
    """The raw columns the pipeline reads. Others are dropped and counted."""
    required: tuple[str, ...] = ()
    """Columns in which a missing value sends the row to quarantine, beside the label."""
    label: str
    split_key: str
    """Rows with the same value stay in the same split (a user, a session)."""
    splits: dict[Name, Annotated[int, Field(ge=1)]] = {"train": 4, "eval": 1}
    """Hash buckets per split."""
    downsample: Downsample | None = None
    images: Images = Images()
    max_quarantined: Fraction = 0.01
    """The day is refused when a larger share of its rows breaks the contract."""
    min_rows: Annotated[int, Field(ge=1)] = 100

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        named = {"label": [self.label], "split_key": [self.split_key], "required": list(self.required)}
        if self.source.time_column:
            named["source.time_column"] = [self.source.time_column]
        for place, columns in named.items():
            for column in columns:
                if column not in self.columns:
                    raise ValueError(f"`{place}` names the column {column!r}; `columns` has {bounded(self.columns)}")
        if {"train", "eval"} - set(self.splits):
            raise ValueError(f"`splits` needs `train` and `eval`; it has {bounded(self.splits)}")
        return self

    @model_validator(mode="after")
    def _images_fit(self) -> Self:
        images = [name for name, kind in self.columns.items() if kind is ColumnType.IMAGE]
        if named := [name for name in images if name in (self.label, self.split_key, self.source.time_column)]:
            raise ValueError(f"an image is no label, key or time. Received: {bounded(named)} of type image")
        if images and not self.images.root and self.source.format in ("csv", "jsonl"):
            raise ValueError(
                f"`format: {self.source.format}` holds no bytes: `images.root` must say where the paths in "
                f"{bounded(images)} start"
            )
        return self

    @model_validator(mode="after")
    def _downsample_fits(self) -> Self:
        if self.downsample is None:
            return self
        kind = self.columns[self.label]
        if kind not in (ColumnType.INT, ColumnType.BOOL):
            raise ValueError(
                f"`downsample` needs a binary label, of type int or bool; {self.label!r} is {kind}. Remove `downsample`, "
                "or let the source deliver a label of 0 and 1"
            )
        if self.downsample.weight in self.columns:
            raise ValueError(
                f"`downsample.weight` is a new column; {self.downsample.weight!r} is in `columns`. Give it another name"
            )
        if not self.downsample.splits or (unknown := sorted(set(self.downsample.splits) - set(self.splits))):
            raise ValueError(
                f"`downsample.splits` must name some of `splits`: {bounded(self.splits)}. "
                f"Received: {bounded(unknown) if self.downsample.splits else 'none'}"
            )
        return self


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


class Drift(Frozen):
    """Distances of today's statistics to those the champion learned from (TFDV comparators)."""

    l_infinity: dict[str, Fraction] = {}
    """Categorical columns: largest change of one value's share."""
    jensen_shannon: dict[str, Fraction] = {}
    """Numeric columns: Jensen-Shannon divergence."""


class StrategyName(enum.StrEnum):
    SINGLE = "single"
    MIRRORED = "mirrored"
    MULTI_WORKER = "multi_worker"


class Train(Frozen):
    epochs: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=1)] = 512
    """Global: examples per step over all devices and workers."""
    seed: int = 1
    strategy: StrategyName = StrategyName.SINGLE
    devices: Annotated[int, Field(ge=1)] = 1
    """Replicas in one process (`mirrored`) or processes (`multi_worker`)."""
    budget_minutes: Positive = 60
    """Training stops at the end of the step in which this is spent; the model so far is exported."""
    checkpoint_every_steps: Annotated[int, Field(ge=1)] = 500
    early_stopping_epochs: Annotated[int, Field(ge=1)] | None = None
    """Epochs without a better eval loss before training stops."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    hyperparameters: dict[str, Any] = {}
    """Handed to `build_model`."""

    @model_validator(mode="after")
    def _strategy_matches_devices(self) -> Self:
        if self.strategy is StrategyName.SINGLE and self.devices != 1:
            raise ValueError(
                f"`strategy: single` trains on one device, yet `devices` is {self.devices}; "
                "set `devices: 1`, or `strategy: mirrored` or `multi_worker`"
            )
        if self.batch_size % self.devices:
            raise ValueError(f"`batch_size` {self.batch_size} must be a multiple of `devices` {self.devices}")
        return self


class Bound(Frozen):
    """An absolute bound on a metric of the candidate."""

    metric: str
    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError(f"the bound on {self.metric!r} needs `min` or `max`")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"the bound on {self.metric!r} has min {self.min} above max {self.max}")
        return self


class Change(Frozen):
    """A bound on candidate minus champion, on the same rows."""

    metric: str
    direction: Literal["higher_is_better", "lower_is_better"]
    max_loss: Annotated[float, Field(ge=0)] = 0.0
    """How much worse than the champion the candidate may be, in units of the metric."""


class Evaluate(Frozen):
    metrics: tuple[str, ...] = ("auc", "binary_crossentropy", "calibration")
    """`auc`, `binary_crossentropy`, `calibration`, `mean_label`, `mean_prediction`, `mean_squared_error`, `mean_absolute_error`."""
    slices: tuple[tuple[str, ...], ...] = ()
    """Raw columns to slice by; several in one entry are crossed."""
    bounds: tuple[Bound, ...] = ()
    against_champion: tuple[Change, ...] = ()

    @model_validator(mode="after")
    def _bounds_name_metrics(self) -> Self:
        for metric in [bound.metric for bound in self.bounds] + [change.metric for change in self.against_champion]:
            if metric not in self.metrics:
                raise ValueError(f"a bound names {metric!r}, which is not in `metrics`: {bounded(self.metrics)}")
        return self


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


class Spec(Frozen):
    name: Name
    description: str = ""
    owner: str = "daybreak"
    simulated: bool = False
    """Every page shows that data and traffic are simulated."""
    data: Data
    schedule: Schedule
    drift: Drift = Drift()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    budget: Budget = Budget()
    cluster: Cluster = Cluster()
    resources: dict[Name, Resources] = {}
    """By node; the others have the defaults of the compiler."""

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        columns = self.data.columns
        sliced = {column for cross in self.evaluate.slices for column in cross}
        for place, names in {
            "evaluate.slices": sliced,
            "drift.l_infinity": set(self.drift.l_infinity),
            "drift.jensen_shannon": set(self.drift.jensen_shannon),
        }.items():
            if unknown := sorted(names - set(columns)):
                raise ValueError(f"`{place}` names {bounded(unknown)}; `data.columns` has {bounded(columns)}")
        if self.train.budget_minutes > self.budget.hours * 60:
            raise ValueError(
                f"`train.budget_minutes` {self.train.budget_minutes:g} exceeds `budget.hours` {self.budget.hours:g}; "
                "give training less, or the day more"
            )
        return self


def pipeline_folder(name: str) -> Path:
    """The folder of pipeline `name`: the importable package `pipelines.<name>`."""
    try:
        found = importlib.util.find_spec(f"pipelines.{name}")
    except (ImportError, ValueError):
        found = None
    places = list(found.submodule_search_locations or []) if found else []
    if not places or not (Path(places[0]) / "pipeline.yaml").exists():
        known = sorted(path.parent.name for path in Path(__file__).parent.glob("*/pipeline.yaml"))
        raise SpecError(
            f"`name` must be a folder under pipelines/ with a pipeline.yaml: {bounded(known)}. Received: name={name!r}",
            fix="correct the name, or create pipelines/<name>/pipeline.yaml",
        )
    return Path(places[0])


def load_spec(name: str) -> Spec:
    """Reads `pipelines/<name>/pipeline.yaml`."""
    path = pipeline_folder(name) / "pipeline.yaml"
    spec = parse_spec(path.read_text(encoding="utf-8"), file=str(path))
    if spec.name != name:
        raise SpecError(
            f"`name` must equal the folder's name {name!r}. Received: name={spec.name!r}",
            fix=f"write `name: {name}`",
            place=str(path),
        )
    return spec


def parse_spec(text: str, *, file: str = "pipeline.yaml") -> Spec:
    """Parses YAML into a spec; raises `SpecError` with all problems at once."""
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(f"not valid YAML: {error}", fix="correct the syntax at that line", place=file) from error
    if not isinstance(raw, dict):
        raise SpecError(
            f"a spec is a mapping with `name`, `data` and `schedule`. Received: {type(raw).__name__}",
            fix="start from an existing folder, e.g. pipelines/taxi",
            place=file,
        )
    try:
        return Spec.model_validate(raw)
    except ValidationError as error:
        problems = [_problem(dict(item)) for item in error.errors()]
        raise SpecError(
            f"{len(problems)} problem(s)\n  - " + "\n  - ".join(problems),
            fix="correct the lines above, then run `daybreak check` again",
            place=file,
        ) from error


def _problem(item: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in item["loc"]) or "(whole spec)"
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "no such setting; remove it or correct its spelling"
    received = _CREDENTIALS.sub("://***@", repr(item.get("input")))
    received = received if len(received) <= 80 else received[:77] + "..."
    return f"`{path}`: {message}. Received: {received}"
