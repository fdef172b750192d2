"""Builds, measures, chooses, passes on."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx.dsl.components.base.base_executor import BaseExecutor
from tfx.types import Artifact, artifact_utils
from tfx.utils import path_utils

from components.compression.choice import Choice, choose
from components.compression.measurement import Measurement
from components.compression.measuring import measure
from components.compression.readable import write_readable
from components.compression.variants import FULL, Workshop
from components.evaluation.metrics import OVERALL
from components.examples.records import row_groups
from components.tracking import current
from components.training.job import Job
from pipelines.errors import one_line
from pipelines.spec import Compress, Train

SPLIT = "eval"
OWN = "tensorflow"
"""What the node `choose` calls the model of model.py."""


class CompressExecutor(BaseExecutor):  # type: ignore[misc]
    """Work of `components.compression.component.Compress`."""

    def Do(
        self,
        input_dict: dict[str, list[Artifact]],
        output_dict: dict[str, list[Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="daybreak-compress-") as temporary:
            workshop = _workshop(input_dict, exec_properties, folder=Path(temporary))
            chosen = input_dict["trained_model"][0].get_string_custom_property("chosen") or OWN
            paths, broken = _build(workshop, Path(temporary) / "variants", chosen=chosen)
            measured = measure(
                {FULL: workshop.trained, **paths},
                groups=row_groups(Path(artifact_utils.get_single_uri(input_dict["examples"])), SPLIT),
                schema=workshop.schema,
                transform=workshop.job.transform,
                label=workshop.job.label,
                slices=json.loads(exec_properties["slices"]),
            )
            found = [measured[FULL], *((measured | broken)[name] for name in workshop.compress.variants)]
            choice = choose(workshop.compress, found)
            served = Path(path_utils.serving_model_path(artifact_utils.get_single_uri(output_dict["model"])))
            shutil.copytree(paths.get(choice.name, workshop.trained), served)
        output_dict["model"][0].set_string_custom_property("variant", choice.name)
        write_readable(
            Path(artifact_utils.get_single_uri(output_dict["compression"])), found, choice, compress=workshop.compress
        )
        _track(found, choice)


def _workshop(input_dict: dict[str, list[Artifact]], exec_properties: dict[str, Any], *, folder: Path) -> Workshop:
    uris = {name: artifact_utils.get_single_uri(artifacts) for name, artifacts in input_dict.items()}
    job = Job(
        model=f"pipelines.{exec_properties['pipeline']}.model",
        transform=Path(uris["transform_graph"]),
        rows=folder / "rows",
        folder=folder,
        label=str(exec_properties["label"]),
        weight=exec_properties.get("weight"),
        train=Train.model_validate_json(exec_properties["train"]),
    )
    return Workshop(
        job=job,
        trained=Path(path_utils.serving_model_path(uris["trained_model"])),
        examples=Path(uris["transformed_examples"]),
        schema=text_format.Parse((Path(uris["schema"]) / "schema.pbtxt").read_text(), schema_pb2.Schema()),
        compress=Compress.model_validate_json(exec_properties["compress"]),
    )


def _build(workshop: Workshop, folder: Path, *, chosen: str) -> tuple[dict[str, Path], dict[str, Measurement]]:
    """The variants that could be built, and why the others could not."""
    if chosen != OWN:
        error = f"the chosen model is `{chosen}`, and only that of model.py has weights to compress"
        return {}, {name: Measurement(name=name, error=error) for name in workshop.compress.variants}
    paths: dict[str, Path] = {}
    broken: dict[str, Measurement] = {}
    for name in workshop.compress.variants:
        try:
            workshop.build(name, folder / name)
            paths[name] = folder / name
        except Exception as error:  # noqa: BLE001  # a variant that does not convert is listed, the others go on
            broken[name] = Measurement(name=name, error=one_line(error))
    return paths, broken


def _track(found: list[Measurement], choice: Choice) -> None:
    tracker = current()
    tracker.log_tags({"variant": choice.name, "reason": choice.reasons[choice.name]})
    for each in found:
        metrics = {"bytes": float(each.bytes), "gzip_bytes": float(each.gzip_bytes)}
        metrics |= dict(each.quality.get(OVERALL, {}))
        if each.speed:
            metrics |= {"p50_ms": each.speed.one.p50_ms, "p99_ms": each.speed.one.p99_ms}
            metrics |= {"rows_per_sec": each.speed.throughput}
        tracker.log_metrics({f"{each.name}/{metric}": value for metric, value in metrics.items()})
        print(f"{each.name}: {choice.reasons[each.name]}")
