from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tfx.types import standard_artifacts

import pipelines
from components.artifacts import Compression
from components.compression import variants
from components.compression.executor import CompressExecutor
from components.examples.records import RowGroup
from components.training.job import Job
from pipelines.spec import Compress
from tests.components.compression.conftest import MODEL, compress, stored_weights
from tests.components.training.conftest import LABEL, Transformed


@pytest.fixture
def run(
    tmp_path: Path,
    transformed: Transformed,
    trained: Path,
    groups: list[RowGroup],
    job: Job,
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    """`run(compress)` is the node; its outputs by name."""
    folder = tmp_path / "pipelines" / "widetest"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "model.py").write_text(f"from {MODEL} import build_model  # noqa: F401\n")
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(folder.parent)])
    (tmp_path / "schema").mkdir()
    (tmp_path / "schema" / "schema.pbtxt").write_text(text_format.MessageToString(transformed.schema))
    inputs = {
        "trained_model": _artifact(standard_artifacts.Model, trained.parent),
        "examples": _artifact(standard_artifacts.Examples, Path(groups[0].path).parents[1]),
        "transformed_examples": _artifact(standard_artifacts.Examples, transformed.examples),
        "transform_graph": _artifact(standard_artifacts.TransformGraph, transformed.transform),
        "schema": _artifact(standard_artifacts.Schema, tmp_path / "schema"),
    }

    def execute(rule: Compress) -> dict[str, Any]:
        outputs = {
            "model": _artifact(standard_artifacts.Model, tmp_path / "model"),
            "compression": _artifact(Compression, tmp_path / "compression"),
        }
        properties = {
            "pipeline": "widetest",
            "compress": rule.model_dump_json(),
            "train": job.train.model_dump_json(),
            "slices": json.dumps([["brand"]]),
            "label": LABEL,
        }
        CompressExecutor().Do(inputs, outputs, properties)
        return {name: artifact for name, [artifact] in outputs.items()}

    return execute


def _artifact(kind: Any, uri: Path) -> list[Any]:
    artifact = kind()
    artifact.uri = str(uri)
    return [artifact]


def table(outputs: dict[str, Any], name: str = "variants") -> dict[str, dict[str, Any]]:
    found = json.loads((Path(outputs["compression"].uri) / f"{name}.json").read_text())
    return {row[0]: dict(zip(found["columns"], row, strict=True)) for row in found["data"]}


def test_the_chosen_variant_is_passed_on_and_a_broken_one_is_listed(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(weight: Any) -> Any:
        raise ValueError("no such kernel")

    monkeypatch.setattr(variants, "Float16", fail)
    outputs = run(compress(variants=["float16", "int8"], max_loss={"auc": 0.05}, min_gain=0.01))
    rows = table(outputs)
    assert list(rows) == ["float32", "float16", "int8"]
    assert rows["float16"]["why"] == "broken: ValueError: no such kernel"
    assert rows["int8"]["why"].startswith("chosen: saves")
    assert rows["int8"]["bytes"] < rows["float32"]["bytes"]
    assert outputs["model"].get_string_custom_property("variant") == "int8"
    served = stored_weights(Path(outputs["model"].uri) / "Format-Serving")
    assert any(value.dtype == "int8" for value in served.values())
    assert set(table(outputs, "slices")) >= {"overall", "brand=brand 1"}
    readable = Path(outputs["compression"].uri)
    assert (readable / "pareto.png").read_bytes().startswith(b"\x89PNG")
    assert "Served: int8" in (readable / "variants.html").read_text()


def test_full_precision_is_passed_on_unchanged_when_no_loss_is_allowed(run: Any, trained: Path) -> None:
    outputs = run(compress(max_loss={"mean_squared_error": 0.0, "binary_crossentropy": 0.0, "auc": 0.0}, min_gain=0.99))
    assert outputs["model"].get_string_custom_property("variant") == "float32"
    model = Path(outputs["model"].uri) / "Format-Serving"
    assert (model / "saved_model.pb").read_bytes() == (trained / "saved_model.pb").read_bytes()
    assert tf.saved_model.load(str(model)).signatures["serving_default"]
