"""Predictions are those of server and evaluation; finished files stay; what cannot be scored is told."""

from __future__ import annotations

import gzip
import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from components.evaluation.scoring import Model
from components.examples.records import serialize, to_lists, write_shard
from components.prediction import predicting
from components.prediction.question import Question
from components.registry.package import SAVED_MODEL
from components.serving.columns import row_type
from components.serving.engine import TensorFlowEngine
from pipelines.errors import DataError, RefusedError, SpecError
from tests.components.prediction.conftest import Predict, read

MODEL_COLUMNS = {"item": "string", "price": "float", "brand": "string", "views": "ints"}


def served(engine: TensorFlowEngine, rows: pa.Table) -> np.ndarray:
    """What the server answers to a request with these rows."""
    found = [
        {name: value for name, value in row.items() if value is not None}
        for row in rows.select(list(MODEL_COLUMNS)).to_pylist()
    ]
    row = row_type(engine.columns)
    return engine.predict(msgspec.json.decode(json.dumps(found), type=list[row])).reshape(-1)


def test_predictions_are_those_of_the_server_and_of_the_evaluation(
    predict: Predict, input_file: Path, rows: pa.Table, engine: TensorFlowEngine, package: Path, tmp_path: Path
) -> None:
    summary = predict(input_file)
    assert (summary.rows, summary.quarantined, summary.files, summary.resumed) == (200, 0, 4, 0)
    found = read(tmp_path / "output")
    assert found.column_names == ["id", "prediction", "model_version"]
    assert found["id"].to_pylist() == list(range(200))
    assert set(found["model_version"].to_pylist()) == {"3"}
    predictions = found["prediction"].to_numpy()
    np.testing.assert_allclose(predictions, served(engine, rows), atol=1e-6)
    lists = to_lists(rows.combine_chunks().to_batches()[0], MODEL_COLUMNS)
    np.testing.assert_allclose(predictions, Model(package / SAVED_MODEL)({}, lists), atol=1e-6)
    assert len(set(predictions)) > 100
    manifest = json.loads((tmp_path / "output" / "_manifest.json").read_text())
    assert manifest["rows"] == 200 and [piece["row_group"] for piece in manifest["pieces"]] == [0, 1, 2, 3]


def test_what_is_there_is_not_computed_again_and_what_is_missing_is(
    predict: Predict, input_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(input_file)
    output = tmp_path / "output"
    before = {path.name: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    first, second, *_ = sorted(output.glob("*.parquet"))
    first.unlink()
    (output / "_pieces" / f"{second.stem}.json").write_text("{")  # cut by a crash
    done: list[str] = []
    original = predicting.predict
    monkeypatch.setattr(predicting, "predict", lambda piece, *rest: done.append(piece.name) or original(piece, *rest))
    summary = predict(input_file)
    assert sorted(done) == [first.stem, second.stem]
    assert (summary.resumed, summary.new_rows, summary.rows) == (2, 100, 200)
    assert {path.name: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
    assert predict(input_file).new_rows == 0


def test_predictions_of_another_model_are_not_mixed_in(
    predict: Predict, input_file: Path, rows: pa.Table, tmp_path: Path
) -> None:
    predict(input_file)
    with pytest.raises(SpecError, match="--replace"):
        predict(input_file, version="4")
    pq.write_table(rows.slice(0, 30), input_file)  # the input changed: those of yesterday are others too
    with pytest.raises(SpecError, match="another model, input"):
        predict(input_file)
    assert predict(input_file, version="4", replace=True).rows == 30
    assert set(read(tmp_path / "output")["model_version"].to_pylist()) == {"4"}
    assert len(list((tmp_path / "output" / "_pieces").iterdir())) == 1


@pytest.mark.parametrize("form", ["tfrecord", "tfrecord.gz", "jsonl", "examples"])
def test_every_format_gives_the_same(
    form: str, predict: Predict, rows: pa.Table, engine: TensorFlowEngine, tmp_path: Path
) -> None:
    expected = served(engine, rows)
    path = tmp_path / f"rows.{form}"
    batch = rows.drop(["note"]).combine_chunks().to_batches()[0]
    lists = to_lists(batch, {"id": "int", **MODEL_COLUMNS})
    if form.startswith("tfrecord"):
        options = tf.io.TFRecordOptions(compression_type="GZIP" if form.endswith("gz") else "")
        with tf.io.TFRecordWriter(str(path), options) as writer:
            for record in serialize(lists):
                writer.write(record)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in batch.to_pylist()))
    else:  # of our own examples node
        path = write_shard(lists, tmp_path / "Split-eval", index=0, count=1)
    predict(path, format="parquet" if form == "examples" else form.removesuffix(".gz"))
    found = read(tmp_path / "output")
    assert found["id"].to_pylist() == list(range(200))
    np.testing.assert_allclose(found["prediction"].to_numpy(), expected, atol=1e-6)


def test_all_columns_are_kept_and_examples_are_written(
    predict: Predict, input_file: Path, rows: pa.Table, tmp_path: Path
) -> None:
    predict(input_file, keep=None)
    found = read(tmp_path / "output")
    assert found.column_names == [*rows.column_names, "prediction", "model_version"]
    assert found.drop(["prediction", "model_version"]).to_pylist() == rows.to_pylist()
    predict(input_file, output_format="tfrecord", keep=("id", "views", "note"), output=str(tmp_path / "records"))
    files = sorted(map(str, (tmp_path / "records").glob("*.tfrecord")))
    records = [tf.train.Example.FromString(one.numpy()).features.feature for one in tf.data.TFRecordDataset(files)]
    assert [record["id"].int64_list.value[0] for record in records] == list(range(200))
    assert [list(record["views"].int64_list.value) for record in records] == rows["views"].to_pylist()
    np.testing.assert_array_equal(
        [record["prediction"].float_list.value[0] for record in records], found["prediction"].to_numpy()
    )
    assert records[0]["model_version"].bytes_list.value[0] == b"3"


def test_rows_without_a_prediction_go_to_quarantine_with_their_reasons(
    predict: Predict, rows: pa.Table, tmp_path: Path
) -> None:
    prices = [str(price) for price in rows["price"].to_pylist()]
    prices[3], prices[60], prices[61] = "cheap", None, "inf"
    broken = rows.set_column(2, "price", pa.array(prices))
    path = tmp_path / "rows.parquet"
    pq.write_table(broken, path, row_group_size=50)
    summary = predict(path, max_quarantined=0.02)
    assert (summary.rows, summary.quarantined) == (200, 3)
    assert summary.reasons == {
        "price: not of type float": 1,
        "price: missing, and the model has no prediction without": 1,
        "price: infinite or beyond float32": 1,
    }
    assert read(tmp_path / "output").num_rows == 197
    quarantine = read(tmp_path / "output" / "_quarantine")
    assert quarantine["id"].to_pylist() == ["3", "60", "61"]
    assert quarantine["price"].to_pylist() == ["cheap", None, "inf"]
    with pytest.raises(RefusedError, match=r"at most 1.000% .* Received: 3 of 200"):
        predict(path, max_quarantined=0.01)
    assert not (tmp_path / "output" / "_manifest.json").exists()


def test_what_the_model_refuses_is_found_row_by_row(
    predict: Predict, input_file: Path, rows: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More values than the model's columns have: the operation fails, for the whole batch."""
    views = rows["views"].to_pylist()
    views[7], views[120] = [1] * 12, [2] * 10
    pq.write_table(rows.set_column(4, "views", pa.array(views)), input_file, row_group_size=50)
    summary = predict(input_file, max_quarantined=0.02)
    assert summary.quarantined == 2
    [reason] = summary.reasons
    assert reason.startswith("the model refuses the row: ")
    assert read(tmp_path / "output" / "_quarantine")["id"].to_pylist() == ["7", "120"]
    assert read(tmp_path / "output").num_rows == 198
    monkeypatch.setattr("components.prediction.model.REFUSED_ROWS", 0)
    with pytest.raises(DataError, match="refuses more than 0 rows"):
        predict(input_file, output=str(tmp_path / "again"))


def test_a_file_that_does_not_fit_is_told_before_anything_is_scored(
    predict: Predict, input_file: Path, rows: pa.Table, tmp_path: Path
) -> None:
    other = input_file.with_name("z.parquet")
    pq.write_table(rows.drop(["price"]), other)
    with pytest.raises(DataError, match=r"columns are missing: 'price'"):
        predict(input_file.with_name("*.parquet"))
    pq.write_table(rows.set_column(1, "item", pa.array([1.5] * 200)), other)
    with pytest.raises(DataError, match="'item' is double, declared string"):
        predict(input_file.with_name("*.parquet"))
    other.write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match="not readable as parquet"):
        predict(input_file.with_name("*.parquet"))
    with pytest.raises(SpecError, match="`--keep` must name columns of the input. Received: absent"):
        predict(input_file, keep=("id", "absent"))
    with pytest.raises(SpecError, match="of its own. Received: kept columns prediction"):
        predict(input_file, keep=("prediction",))
    assert not list((tmp_path / "output").glob("*.parquet"))


def test_no_rows_are_no_predictions(predict: Predict, rows: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    pq.write_table(rows.slice(0, 0), path)
    assert predict(path).rows == 0
    assert json.loads((tmp_path / "output" / "_manifest.json").read_text())["pieces"] == []
    lines = tmp_path / "empty.jsonl"
    lines.write_text("\n")
    summary = predict(lines, format="jsonl", output=str(tmp_path / "lines"))
    assert (summary.rows, summary.files) == (0, 1)
    assert read(tmp_path / "lines").column_names == ["id", "prediction", "model_version"]


def test_lines_that_are_no_rows_count_as_quarantined(predict: Predict, rows: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl.gz"
    good = [json.dumps(row) + "\n" for row in rows.slice(0, 20).to_pylist()]
    path.write_bytes(gzip.compress("".join([*good, '{"id": 7,\n']).encode()))
    summary = predict(path, format="jsonl", max_quarantined=0.1)
    assert (summary.rows, summary.quarantined) == (21, 1)
    assert list(summary.reasons.values()) == [1]


def test_the_same_work_is_the_same_bytes(predict: Predict, input_file: Path, tmp_path: Path) -> None:
    def everything(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    for name in ("a", "b"):
        predict(input_file, keep=None, output=str(tmp_path / name))
    assert everything(tmp_path / "a") == everything(tmp_path / "b")


_KILLED = """
import os, pickle, signal, sys
from pathlib import Path
from components.prediction import predicting
from components.prediction.pieces import list_pieces

question, path = pickle.loads(bytes.fromhex(sys.argv[1]))
first, second, third, _ = list_pieces([path], question)
predictor = predicting.load_predictor(question.model, question.schema)
predicting.predict(first, question, predictor)
predicting.predict(second, question, predictor)
predicting.write_receipt = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
predicting.predict(third, question, predictor)
"""


@pytest.mark.slow
def test_a_killed_run_is_continued(
    predict: Predict, make_question: Callable[..., Question], input_file: Path, tmp_path: Path
) -> None:
    """SIGKILL before the third receipt: two pieces are done, the third is made anew, and nothing is left behind."""
    given = pickle.dumps((make_question(), input_file)).hex()
    killed = subprocess.run([sys.executable, "-c", _KILLED, given], check=False, timeout=240)
    assert killed.returncode == -signal.SIGKILL
    output = tmp_path / "output"
    assert len(list((output / "_pieces").iterdir())) == 2 and not (output / "_manifest.json").exists()
    summary = predict(input_file)
    assert (summary.resumed, summary.new_rows) == (2, 100)
    assert read(output)["id"].to_pylist() == list(range(200))
    assert not [path.name for path in output.iterdir() if path.name.startswith(".")]
