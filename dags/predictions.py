"""The DAG `daybreak_<pipeline>_predict`: predictions of a registered model for files of rows, when somebody asks.

    prediction_dag(manifest)

A task that is cleared or tried again continues: files that are there are not computed again.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG, Param
from airflow.sdk.exceptions import AirflowFailException

from dags.command_operator import ONLY_WHEN_IT_HELPS, CommandOperator, NodeFailedForNow
from pipelines.errors import RefusedError, retry_can_help
from pipelines.manifest import Manifest
from pipelines.settings import Settings

TASK_ID = "predict"
INPUT_FORMATS, OUTPUT_FORMATS = ("by its name", "parquet", "tfrecord", "csv", "jsonl"), ("parquet", "tfrecord")
TIMEOUT = datetime.timedelta(hours=24)
RETRIES = 2
RETRY_DELAY = datetime.timedelta(seconds=30)
_PAGE = """\
Predictions of a registered model for files of rows: the same as `daybreak predict {name} --input … --output …`.

A run that was killed, cleared or tried again continues; files that are there stay. Rows without a prediction are in
`_quarantine` of the output, with their reasons. Each run is an MLflow run of the experiment `{name}`.
"""


class PredictOperator(CommandOperator):
    """Runs `python -m components.prediction` with what the form says."""

    ui_color = "#d0e0e3"

    def __init__(self, *, pipeline: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pipeline = pipeline

    def execute(self, context: Any) -> None:
        arguments = ["predict", self.pipeline, *prediction_arguments(context["params"])]
        names = {"DAYBREAK_AIRFLOW_DAG": self.dag_id, "DAYBREAK_AIRFLOW_RUN": context["run_id"]}
        settings = Settings.from_environment()
        if code := self._run(arguments, name=f"predict {self.pipeline}", settings=settings, environ=names):
            self._fail(code)

    def _fail(self, code: int) -> None:
        if code == RefusedError.exit_code:
            raise AirflowFailException("too many rows have no prediction: see the log above")
        kind = NodeFailedForNow if retry_can_help(code) else AirflowFailException
        raise kind(f"predictions of {self.pipeline} ended with exit code {code}: see the log above")


def prediction_dag(manifest: Manifest) -> DAG:
    dag = DAG(
        f"daybreak_{manifest.pipeline}_predict",
        description=f"Predictions of a model of {manifest.pipeline} for files of rows",
        doc_md=_PAGE.format(name=manifest.pipeline),
        tags=["daybreak", "predict", manifest.pipeline, *(["simulated"] if manifest.simulated else [])],
        schedule=None,
        start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
        params=prediction_form(),
        is_paused_upon_creation=False,  # nothing runs unless somebody asks
        default_args={"owner": manifest.owner},
        auto_register=False,
    )
    PredictOperator(
        task_id=TASK_ID,
        dag=dag,
        pipeline=manifest.pipeline,
        execution_timeout=TIMEOUT,
        retries=RETRIES,
        retry_delay=RETRY_DELAY,
        retry_policy=ONLY_WHEN_IT_HELPS,
    )
    return dag


def prediction_form() -> dict[str, Param]:
    """Airflow's API refuses what does not fit it."""
    places = "Path or URI, with `{day}` and `${NAME}`"
    return {
        "input": Param(type="string", minLength=1, title="Input", description_md=f"{places}, and `*`."),
        "output": Param(
            type="string", minLength=1, title="Output", description_md=f"{places}: a folder. The same one continues."
        ),
        "day": Param(
            None, type=["null", "string"], format="date", title="Day", description_md="What `{day}` stands for."
        ),
        "model": Param(
            "champion",
            type="string",
            minLength=1,
            title="Model",
            description_md="`champion`, `challenger`, `@ALIAS` of the registry, or a version.",
        ),
        "format": Param(INPUT_FORMATS[0], type="string", enum=list(INPUT_FORMATS), title="Format of the input"),
        "output_format": Param("parquet", type="string", enum=list(OUTPUT_FORMATS), title="Format of the output"),
        "keep": Param(
            None,
            type=["null", "string"],
            title="Keep",
            description_md="Input columns in the output: `all`, or names with commas. Empty: the key of the spec.",
        ),
        "replace": Param(
            False, type="boolean", title="Replace", description_md="Remove predictions of other models from the output."
        ),
    }


def prediction_arguments(form: Mapping[str, Any]) -> list[str]:
    """Of `daybreak predict`, the name aside."""
    given = {name: form.get(name) for name in ("input", "output", "day", "model", "format", "output_format", "keep")}
    if given["format"] == INPUT_FORMATS[0]:
        given["format"] = None
    options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value]
    return [*options, *["--replace"] * bool(form.get("replace"))]
