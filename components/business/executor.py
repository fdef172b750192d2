"""Scores every candidate of the logged lists with both models, weighs the rows, estimates, judges."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from google.protobuf import text_format
from pydantic import TypeAdapter
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from components.business.judging import judge
from components.business.log import DayLog, Lists
from components.business.readable import Row, estimates, sizes, write_readable
from components.business.weighing import list_sums
from components.contract.source import parse_day
from components.days.listing import Days
from components.decision.report import GateReport
from components.evaluation.scoring import Score, Scoring
from components.examples.records import readable
from components.examples.row_groups import raw_row_groups
from components.examples.splitting import split_rows
from components.inference.units import Floats, UnitSums, merge_units
from components.registry.champion.artifact import champion_name
from components.tracking import current
from components.transform.graph import input_config
from pipelines.errors import one_line
from pipelines.spec import Data, Kpi, Policy

SPLIT = "eval"
MODEL = "model"
READABLE = "readable"
_MERGED_AT = 64
"""Partial sums held before they become one: they are as large as the number of their users."""


class Task(NamedTuple):
    kpis: tuple[Kpi, ...]
    policy: Policy
    data: Data
    day: datetime.date


class BusinessExecutor(BaseExecutor):  # type: ignore[misc]
    """Work of `components.business.component.Business`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises `DataError` when the log of lists or the catalogue is missing or has other columns."""
        task = _task(exec_properties)
        champion = champion_name(input_dict["champion_model"])
        comparison = Comparison(task, input_dict) if champion else None
        if comparison:
            comparison.read(Path(artifact_utils.get_single_uri(input_dict["rows"])))
        sums = comparison.sums if comparison else {}
        report = judge(
            task.kpis,
            sums,
            rows=comparison.rows if comparison else 0,
            lost=comparison.lost if comparison else 0,
            champion=champion,
            unusable=comparison.unusable if comparison else "",
        )
        _publish(report, sums, output_dict, resamples=task.policy.bootstrap_resamples)


class Comparison:
    """Sums by KPI over the rows of held-out users."""

    def __init__(self, task: Task, input_dict: dict[str, list[Artifact]]) -> None:
        self._task = task
        self._candidate = _score(input_dict, "model", task.data)
        self._champion = _score(input_dict, "champion_model", task.data)
        self._columns = _model_columns(input_dict, task.data)
        self._parts: dict[str, list[UnitSums]] = {}
        self.rows = self.lost = 0
        self.unusable = ""
        """Why the champion cannot score the day's rows (it may know columns that are gone), or ""."""

    @property
    def sums(self) -> dict[str, UnitSums]:
        return {name: merge_units(parts) for name, parts in self._parts.items()}

    def read(self, folder: Path) -> None:
        self._candidate.setup()
        try:
            self._champion.setup()
        except Exception as error:  # noqa: BLE001 - whatever an old model raises, the candidate is judged
            self.unusable = one_line(error)
        for day, paths in _files_by_day(folder, self._task.day).items():
            kpis = [kpi for kpi in self._task.kpis if day + datetime.timedelta(kpi.attribution_days) <= self._task.day]
            if kpis and not self.unusable:
                self._read_day(day, paths, kpis)

    def _read_day(self, day: datetime.date, paths: list[Path], kpis: list[Kpi]) -> None:
        log = DayLog.open(self._task.policy, self._task.data, day)
        for rows in _held_out(paths, self._task.data):
            self.rows += rows.num_rows
            for lists in log.lists(rows):
                self._add(lists, kpis)
        self.lost += log.lost

    def _add(self, lists: Lists, kpis: list[Kpi]) -> None:
        batch = lists.candidate_rows(self._columns)
        new, champion = _predictions(self._candidate, batch), self._predict_champion(batch)
        if champion is None:
            return
        for kpi in kpis:
            parts = self._parts.setdefault(kpi.name, [])
            parts.append(
                list_sums(
                    lists,
                    kpi,
                    self._task.policy,
                    unit=self._task.data.split_key,
                    new=lists.as_table(new),
                    champion=lists.as_table(champion),
                )
            )
            if len(parts) > _MERGED_AT:
                self._parts[kpi.name] = [merge_units(parts)]

    def _predict_champion(self, batch: pa.RecordBatch) -> Floats | None:
        if self.unusable:
            return None
        try:
            return _predictions(self._champion, batch)
        except Exception as error:  # noqa: BLE001 - as above
            self.unusable = one_line(error)
            return None


def _task(exec_properties: dict[str, Any]) -> Task:
    return Task(
        kpis=TypeAdapter(tuple[Kpi, ...]).validate_json(exec_properties["kpis"]),
        policy=Policy.model_validate_json(exec_properties["policy"]),
        data=Data.model_validate_json(exec_properties["data"]),
        day=parse_day(exec_properties["day"]),
    )


def _predictions(score: Score, batch: pa.RecordBatch) -> Floats:
    found: Floats = score.score(batch).column(MODEL).to_numpy().astype("float64")
    return found


def _score(input_dict: dict[str, list[Artifact]], model: str, data: Data) -> Score:
    return Score(
        Scoring(
            models={MODEL: Path(path_utils.serving_model_path(input_dict[model][0].uri))},
            transform=Path(artifact_utils.get_single_uri(input_dict["transform_graph"])),
            schema=_schema(input_dict),
            label=data.label,
        )
    )


def _schema(input_dict: dict[str, list[Artifact]]) -> schema_pb2.Schema:
    path = Path(artifact_utils.get_single_uri(input_dict["schema"])) / "schema.pbtxt"
    return text_format.Parse(path.read_text(), schema_pb2.Schema())


def _model_columns(input_dict: dict[str, list[Artifact]], data: Data) -> dict[str, str]:
    names = input_config(_schema(input_dict)).arrow_schema.names
    return {name: str(data.columns[name]) for name in names}


def _files_by_day(folder: Path, day: datetime.date) -> dict[datetime.date, list[Path]]:
    paths = sorted(folder.glob("*.parquet"))
    if not (days := Days.read(folder)):
        return {day: paths}
    return {datetime.date.fromisoformat(one.day): paths[one.first : one.first + one.count] for one in days.days}


def _held_out(paths: list[Path], data: Data) -> Iterator[pa.Table]:
    """Rows of users that the candidate has not learned from, a row group at a time."""
    for path, group in raw_row_groups(paths):
        reading = partial(pq.ParquetFile(path, page_checksum_verification=True).read_row_group, group)
        rows = readable(Path(path), reading, what="the rows of the contract", node="contract").combine_chunks()
        own = split_rows(rows.column(data.split_key).combine_chunks(), data.splits)[SPLIT]
        yield rows.filter(pa.array(own))


def _publish(
    report: GateReport, sums: dict[str, UnitSums], output_dict: dict[str, list[Artifact]], *, resamples: int
) -> None:
    [artifact], [evaluation] = output_dict["report"], output_dict["evaluation"]
    tables = {kpi: estimates(found, resamples=resamples) for kpi, found in sums.items()}
    counts = {kpi: sizes(found) for kpi, found in sums.items()}
    write_readable(Path(evaluation.uri) / READABLE, tables, counts)
    report.write(Path(artifact.uri))
    artifact.verdict = report.verdict.value
    for kpi, rows in tables.items():
        current().log_metrics(_metrics(kpi, rows) | {f"{kpi}/{name}": value for name, value in counts[kpi].items()})
    print(f"{report.verdict.value}: {report.reason}")


def _metrics(kpi: str, rows: list[Row]) -> dict[str, float]:
    values = {f"{kpi}/{row.estimator}": row.value for row in rows}
    return values | {f"{kpi}/{row.estimator} error": row.error for row in rows}
