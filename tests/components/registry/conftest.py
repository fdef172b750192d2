"""A small pipeline's artifacts around a real SavedModel."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv

from components.decision.report import Check, GateReport, Verdict
from components.examples.records import write_shard
from components.ledger.ledger import Ledger
from components.registry.register.executor import Candidate
from components.registry.versions import Registry
from pipelines.manifest import write_atomically
from pipelines.settings import Settings
from tests.components.tracking.mlflow_server import MlflowServer

Make = Callable[..., Candidate]


class _Linear(tf.Module):  # type: ignore[misc]
    def __init__(self, weight: float) -> None:
        self.weight = tf.Variable(weight)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"predictions": tf.fill([tf.shape(examples)[0], 1], self.weight)}


@pytest.fixture
def make_candidate(tmp_path: Path) -> Make:
    """`make_candidate(day, weight=0.5, verdict=Verdict.ACCEPTED)`: a candidate with its input artifacts on disk."""

    def make(day: str, *, weight: float = 0.5, verdict: Verdict = Verdict.ACCEPTED) -> Candidate:
        folder = tmp_path / f"{day}-{weight}-{verdict}-{len(list(tmp_path.iterdir()))}"
        names = ("examples", "statistics", "schema", "transform_graph", "model", "model_run")
        uris = {name: str(folder / name) for name in names}
        for uri in uris.values():
            Path(uri).mkdir(parents=True)
        linear = _Linear(weight)
        tf.saved_model.save(linear, str(folder / "model" / "Format-Serving"), signatures=linear.serve)
        statistics = tfdv.generate_statistics_from_dataframe(
            pd.DataFrame({"price": [1.0, 2.0], "city": ["a", "b"], "bought": [0, 1]})
        )
        tfdv.write_schema_text(tfdv.infer_schema(statistics), str(folder / "schema" / "schema.pbtxt"))
        (folder / "statistics" / "Split-train").mkdir()
        (folder / "statistics" / "Split-train" / "FeatureStats.pb").write_bytes(statistics.SerializeToString())
        example = pa.RecordBatch.from_pydict({"price": [[1.5]], "city": [[b"a"]], "bought": [[1]]})
        write_shard(example, folder / "examples" / "Split-eval", index=0, count=1)
        check = Check(name="auc", verdict=verdict, observed=0.7, bound=">= 0.6", reason="as bound")
        return Candidate(
            day=datetime.date.fromisoformat(day), label="bought", uris=uris, report=GateReport.of("evaluate", [check])
        )

    return make


@pytest.fixture
def registry(
    mlflow_server: MlflowServer, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Registry:
    """A registry of its own name for each test."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "state"))
    write_atomically(tmp_path / "state" / "services.json", json.dumps({"mlflow": {"url": mlflow_server.url}}).encode())
    return Registry.connect(Settings.from_environment(), request.node.name.lower()[:60])


@pytest.fixture
def ledger(registry: Registry, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """That of the registry's model."""
    monkeypatch.setenv("DAYBREAK_DATABASE_URL", ledger_url)
    return Ledger.open(Settings.from_environment(), registry.name)
