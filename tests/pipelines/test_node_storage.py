"""Nodes whose artifacts are kept on a real S3 server on loopback."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

pytest.importorskip("tfx")

from pipelines.artifact_store import MANIFEST, local_path
from pipelines.compile import compile_pipeline
from pipelines.outcome import State
from pipelines.settings import Settings
from tests.pipelines.forked import ForkedNode
from tests.pipelines.test_node import Bench
from tests.pipelines.tiny.pipeline import create_pipeline
from tests.postgres import Server as Database
from tests.s3 import Server, free_port

ROOT = "daybreak"
_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def root(bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Inherited by the nodes, as the credentials are."""
    uri = f"s3://{bucket}/{ROOT}"
    monkeypatch.setenv("DAYBREAK_ARTIFACTS", uri)
    return uri


@pytest.fixture(scope="module")
def url(server: Database) -> str:
    return server.new_database()


@pytest.fixture
def bench(settings: Settings, url: str, tmp_path: Path) -> Bench:
    name = f"kept{next(_NUMBERS)}"
    compile_pipeline(create_pipeline(name=name), settings)
    return Bench(settings=settings, name=name, url=url, folder=tmp_path)


def executing(bench: Bench, node: ForkedNode) -> Path:
    """The folder that the executor of `count` writes."""
    rows = bench.settings.artifacts / bench.name / "count" / "rows"
    until(lambda: any(rows.glob("*/half")))
    [half] = rows.glob("*/half")
    assert "counting" in node.output()
    return half.parent


def until(condition: Callable[[], bool], *, secs: float = 60) -> None:
    deadline = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.05)


def holding(secrets: Iterable[str], folder: Path) -> list[Path]:
    words = [secret.encode() for secret in secrets]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [path for path in files if any(word in path.read_bytes() for word in words)]


def test_artifacts_are_kept_there_and_found_from_an_empty_machine(
    bench: Bench, s3: Server, bucket: str, root: str
) -> None:
    code, output = bench.run_up_to("latest")
    assert code == 0, output
    rows = bench.outcome("count").outputs["rows"][0]
    assert rows.uri.startswith(f"{root}/{bench.name}/count/rows/")
    assert bench.outcome("twice").inputs["rows"] == (rows,)
    assert bench.outcome("latest").outputs["double"][0].uri.startswith(root)
    assert f"{rows.uri}/rows.txt".removeprefix(f"s3://{bucket}/") in s3.objects(bucket)

    shutil.rmtree(bench.settings.artifacts)
    code, output = bench.run_up_to("twice", run_id="run2")
    assert (code, bench.outcome("twice", "run2").state) == (0, State.CACHED), output
    assert not (bench.settings.artifacts / bench.name / "count" / "rows").exists(), "a hit fetches nothing"
    code, output = bench.run("twice", "--skip-cache", run_id="run2")
    assert (code, bench.outcome("twice", "run2").state) == (0, State.COMPLETE), output
    local = local_path(
        bench.outcome("twice", "run2").outputs["double"][0].uri, dataclasses.replace(bench.settings, artifacts_uri=root)
    )
    assert (local / "rows.txt").read_text() == "2026-01-05 0 one" * 2

    assert holding((s3.key, s3.secret), bench.folder) == []
    assert holding([root], bench.folder), "the search would prove nothing"


def test_a_refusal_from_the_cache_is_read_from_there(bench: Bench) -> None:
    for run_id in ("run1", "run2"):
        code, output = bench.run_up_to("contract", "--set", "behave=refuse", run_id=run_id)
        assert code == 10 and "only 3 rows" in output
        shutil.rmtree(bench.settings.artifacts)


def test_artifacts_that_vanished_there_are_made_again(bench: Bench, s3: Server, bucket: str) -> None:
    bench.run_up_to("count")
    uri = bench.outcome("count").outputs["rows"][0].uri
    (s3.folder / "buckets" / bucket / f"{uri.removeprefix(f's3://{bucket}/')}{MANIFEST}").unlink()
    bench.run_up_to("count", run_id="run2")
    assert "artifacts are gone" in bench.outcome("count", "run2").cache


def test_kill_9_while_it_is_uploaded(bench: Bench, s3: Server, bucket: str) -> None:
    bench.run_up_to("contract")
    node = bench.start("count", "--set", "behave=slow:1")
    half = executing(bench, node)
    with s3.paused():
        until(lambda: (half / "rows.txt").exists() and not (half / "half").exists())
        time.sleep(0.5)  # the executor has ended, and the first request waits
        node.signal(signal.SIGKILL)
        node.wait()
    assert bench.states("count") == ["RUNNING"]
    remote = s3.folder / "buckets" / bucket / ROOT / bench.name / "count" / "rows"
    (remote / half.name).mkdir(parents=True, exist_ok=True)
    (remote / half.name / "rows.txt").write_text("the first part of it")
    code, output = bench.run("count")
    assert code == 0, output
    assert bench.states("count") == ["FAILED", "COMPLETE"]
    kept = bench.outcome("count").outputs["rows"][0].uri.rpartition("/")[2]
    assert kept != half.name
    assert [name for name in s3.objects(bucket) if "/count/rows/" in name] == [
        f"{ROOT}/{bench.name}/count/rows/{kept}{MANIFEST}",
        f"{ROOT}/{bench.name}/count/rows/{kept}/rows.txt",
    ]
    assert bench.run("twice")[0] == 0


def test_sigterm_while_it_is_uploaded_leaves_nothing(bench: Bench, s3: Server, bucket: str) -> None:
    bench.run_up_to("contract")
    node = bench.start("count", "--set", "behave=slow:1")
    half = executing(bench, node)
    with s3.paused():
        until(lambda: (half / "rows.txt").exists() and not (half / "half").exists())
        node.signal(signal.SIGTERM)
        time.sleep(0.5)
    assert node.wait() == 143, node.output()
    assert bench.states("count") == ["CANCELED"]
    assert [name for name in s3.objects(bucket) if "/count/" in name] == []
    assert bench.run("count")[0] == 0


def test_a_storage_that_is_down_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run_up_to("contract")
    with monkeypatch.context() as down:
        down.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        code, output = bench.run("count")
    assert code == 75 and "does not answer" in output, output
    assert "Fix: check the endpoint" in bench.outcome("count").error
    assert bench.run("count")[0] == 0
