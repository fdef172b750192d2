"""The DAG of batch predictions: its form becomes the arguments of the command, its exit code decides about retries."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from dags.command_operator import NodeFailedForNow
from dags.predictions import PredictOperator, prediction_arguments, prediction_dag, prediction_form
from pipelines.manifest import Manifest


def test_the_dag_waits_for_somebody(manifest: Manifest) -> None:
    dag = prediction_dag(manifest)
    assert dag.dag_id == "daybreak_shop_predict" and not dag.schedule
    assert [task.task_id for task in dag.tasks] == ["predict"]
    assert dag.task_dict["predict"].retries


def test_the_form_becomes_the_arguments() -> None:
    form: dict[str, Any] = {name: param.value for name, param in prediction_form().items() if param.has_value}
    asked = form | {"input": "s3://a/{day}/*.parquet", "output": "/out", "day": "2026-01-05"}
    assert prediction_arguments(asked) == [
        "--input=s3://a/{day}/*.parquet",
        "--output=/out",
        "--day=2026-01-05",
        "--model=champion",
        "--output-format=parquet",
    ]
    more = prediction_arguments(asked | {"format": "jsonl", "keep": "all", "replace": True, "model": "@previous"})
    assert {"--format=jsonl", "--keep=all", "--replace", "--model=@previous"} <= set(more)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(75, NodeFailedForNow), (137, NodeFailedForNow), (10, AirflowFailException), (65, AirflowFailException)],
)
def test_a_retry_continues_where_it_helps(
    code: int, expected: type[Exception], manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(PredictOperator, "_run", lambda self, arguments, **rest: asked.append(arguments) or code)
    [task] = prediction_dag(manifest).tasks
    with pytest.raises(expected):
        task.execute({"params": {"input": "in", "output": "out"}, "run_id": "manual"})
    assert asked == [["predict", "shop", "--input=in", "--output=out"]]
