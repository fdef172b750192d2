"""Days on a storage: the same verdict, rows and quarantine as from a local folder. A real S3 server on loopback."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import tensorflow as tf

from components.contract.source import source_fingerprint
from pipelines import storage
from pipelines.errors import DataError, SpecError, TransientError
from pipelines.manifest import Manifest
from tests.components.contract.running import DAY, changed, data, run, write_csv, write_parquet
from tests.s3 import free_port


def _parquet(folder: Path, columns: dict[str, list[Any]]) -> Path:
    return write_parquet(folder, columns)


def _csv(folder: Path, columns: dict[str, list[Any]]) -> Path:
    path = write_csv(folder / f"{DAY}.csv", columns)
    with path.open("a") as file:
        file.write("a,line,of,four\n")
    return path


def _jsonl(folder: Path, columns: dict[str, list[Any]]) -> Path:
    path = folder / f"{DAY}.jsonl.gz"
    path.write_bytes(gzip.compress("".join(f"{json.dumps(row)}\n" for row in pa.table(columns).to_pylist()).encode()))
    return path


def _tfrecord(folder: Path, columns: dict[str, list[Any]]) -> Path:
    path = folder / f"{DAY}.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for row in pa.table(columns).to_pylist():
            features = {name: _feature(value) for name, value in row.items() if value is not None}
            writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return path


def _feature(value: Any) -> tf.train.Feature:
    if isinstance(value, str):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
    if isinstance(value, float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=[int(value)]))


@pytest.mark.parametrize(
    ("format", "write"), [("parquet", _parquet), ("csv", _csv), ("jsonl", _jsonl), ("tfrecord", _tfrecord)]
)
def test_every_format_gives_the_same_bytes_as_a_local_day(
    format: str, write: Callable[[Path, dict[str, list[Any]]], Path], bucket: str, tmp_path: Path
) -> None:
    path = write(tmp_path, changed("price", {3: 5000.0, 7: None}))
    key = str(path.relative_to(tmp_path))
    storage.upload({path: f"s3://{bucket}/raw/{key}"})
    pattern = key.replace(DAY, "{day}").replace("a.parquet", "*.parquet")
    local = run(tmp_path / "local", data(tmp_path, source={"format": format, "path": f"{tmp_path}/{pattern}"}))
    remote = run(tmp_path / "remote", data(tmp_path, source={"format": format, "path": f"s3://{bucket}/raw/{pattern}"}))
    assert local.quarantine, "the test would prove little"
    assert remote.rows_file.read_bytes() == local.rows_file.read_bytes()
    assert remote.quarantine_file.read_bytes() == local.quarantine_file.read_bytes()
    assert remote.report.verdict == local.report.verdict


def fingerprint(path: str) -> str:
    spec = {"data": data(Path(), source={"path": path})}
    manifest = Manifest(pipeline="shop", ir="shop.ir.json", ir_digest="", spec=spec, nodes=())
    return source_fingerprint(manifest, {"day": DAY, "rows_limit": 0})


def test_the_fingerprint_follows_names_and_content(bucket: str) -> None:
    pattern = f"s3://{bucket}/{{day}}/*.parquet"
    storage.write_bytes(f"s3://{bucket}/{DAY}/a.parquet", b"one")
    first = fingerprint(pattern)
    assert fingerprint(pattern) == first
    storage.write_bytes(f"s3://{bucket}/{DAY}/a.parquet", b"two")
    assert fingerprint(pattern) != first
    storage.write_bytes(f"s3://{bucket}/{DAY}/a.parquet", b"one")
    assert fingerprint(pattern) == first
    storage.write_bytes(f"s3://{bucket}/{DAY}/b.parquet", b"late")
    assert fingerprint(pattern) != first


def test_what_is_wrong_with_the_place_is_told(bucket: str, tmp_path: Path) -> None:
    def days(path: str) -> Any:
        return run(tmp_path / path.replace("/", "_"), data(tmp_path, source={"path": path}))

    for day in ("2026-01-03", "2026-01-04"):
        storage.write_bytes(f"s3://{bucket}/{day}.parquet", b"no parquet")
    with pytest.raises(
        DataError, match=f"nothing matches s3://{bucket}/{DAY}.parquet; there are 2026-01-03, 2026-01-04"
    ):
        days(f"s3://{bucket}/{{day}}.parquet")
    storage.write_bytes(f"s3://{bucket}/bad/{DAY}.parquet", b"no parquet")
    with pytest.raises(DataError, match=f"s3://{bucket}/bad/{DAY}.parquet: not readable as parquet"):
        days(f"s3://{bucket}/bad/{{day}}.parquet")
    storage.write_bytes(f"s3://{bucket}/empty/{DAY}.parquet", b"")
    with pytest.raises(DataError, match="the file is empty"):
        days(f"s3://{bucket}/empty/{{day}}.parquet")
    with pytest.raises(SpecError, match="there is no such bucket"):
        days("s3://nobucket/{day}.parquet")


def test_a_server_that_is_down_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    storage.forget_connections()
    with pytest.raises(TransientError, match="does not answer"):
        run(tmp_path, data(tmp_path, source={"path": "s3://shop/{day}.parquet"}))
