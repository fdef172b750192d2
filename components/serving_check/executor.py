"""Tries the candidate in a server, judges, and keeps the golden rows."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from components.decision.report import GateReport
from components.examples.records import row_groups
from components.serving_check.checks import judge, judge_failure, judge_nothing
from components.serving_check.golden import Golden, choose
from components.serving_check.server_process import ServerFailedError, ServerProcess
from components.serving_check.trial import MEASURES_FILE, Trial, run_trial
from components.tracking import current
from pipelines.spec import Serving

SPLIT = "eval"


class ServingCheckExecutor(BaseExecutor):  # type: ignore[misc]
    """Work of `components.serving_check.component.ServingCheck`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        serving = Serving.model_validate_json(exec_properties["serving"])
        model = Path(path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict["model"])))
        folder = Path(artifact_utils.get_single_uri(output_dict["measures"]))
        folder.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix="daybreak-serving-") as temporary,
            # First, so that its imports and the golden predictions take their seconds side by side.
            ServerProcess(model, Path(temporary), start_timeout_secs=serving.start_timeout_secs) as server,
        ):
            report = _try(server, _golden(input_dict, exec_properties, model, serving), serving, model, folder)
        [artifact] = output_dict["report"]
        report.write(Path(artifact.uri))
        artifact.verdict = report.verdict.value
        print(f"{report.verdict.value}: {report.reason}")


def _golden(
    input_dict: dict[str, list[Artifact]], exec_properties: dict[str, Any], model: Path, serving: Serving
) -> Golden | None:
    schema_file = Path(artifact_utils.get_single_uri(input_dict["schema"])) / "schema.pbtxt"
    return choose(
        row_groups(Path(artifact_utils.get_single_uri(input_dict["examples"])), SPLIT),
        model=model,
        schema=text_format.Parse(schema_file.read_text(encoding="utf-8"), schema_pb2.Schema()),
        label=str(exec_properties["label"]),
        count=serving.golden_rows,
    )


def _try(server: ServerProcess, golden: Golden | None, serving: Serving, model: Path, folder: Path) -> GateReport:
    if golden is None:
        return judge_nothing("the eval split has no row that JSON can hold: there is nothing to ask the server for")
    try:
        with tempfile.TemporaryDirectory(prefix="daybreak-serving-") as temporary:
            trial = run_trial(server, golden, serving, model=model, folder=Path(temporary))
    except ServerFailedError as error:
        golden.write(folder)
        return judge_failure(str(error))
    golden.write(folder, served=trial.served)
    (folder / MEASURES_FILE).write_text(trial.model_dump_json(indent=1, exclude={"served"}) + "\n")
    _track(trial)
    return judge(trial, serving)


def _track(trial: Trial) -> None:
    current().log_metrics(
        {
            name: float(value)
            for name, value in trial.model_dump().items()
            if isinstance(value, int | float) and name != "differing_row"
        }
    )
    current().log_params({"how": trial.how})
