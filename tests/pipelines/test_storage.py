"""Against a real S3 server on loopback; what needs none runs everywhere."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from pipelines import storage
from pipelines.errors import DataError, ResourceError, SpecError, TransientError
from pipelines.storage import RemoteFile, is_remote, matching
from tests.s3 import Server, free_port


def put(bucket: str, *keys: str, content: bytes = b"content") -> None:
    for key in keys:
        storage.write_bytes(f"s3://{bucket}/{key}", content)


def test_a_path_is_local_and_a_uri_is_not(tmp_path: Path) -> None:
    assert not is_remote(str(tmp_path)) and not is_remote("data/{day}/*.csv")
    assert all(is_remote(uri) for uri in ("s3://shop/a", "gs://shop/a", "hdfs:///a", "hdfs://namenode:8020/a"))


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("s3://KEY:hunter2@shop/a", r"must not hold credentials. Received: s3://\*\*\*@shop/…"),
        ("https://shop/a", "or start with s3://, gs://, hdfs://. Received: https://…"),
        ("s3:///a", "must name a bucket"),
    ],
)
def test_a_uri_that_cannot_be_is_refused_without_its_credentials(uri: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        is_remote(uri)
    assert "hunter2" not in str(caught.value) and "Fix:" in str(caught.value)


def test_an_endpoint_with_credentials_is_refused_without_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://KEY:hunter2@localhost:9000")
    storage.forget_connections()
    with pytest.raises(SpecError, match="AWS_ENDPOINT_URL must be") as caught:
        matching("s3://shop/a")
    assert "hunter2" not in str(caught.value)


def test_a_storage_that_is_down_is_worth_another_try(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    for name, value in {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "hunter2"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    storage.forget_connections()
    with pytest.raises(TransientError, match=f"NETWORK_CONNECTION from 127.0.0.1:{port}") as caught:
        matching("s3://shop/a/*.csv")
    assert caught.value.exit_code == 75 and "hunter2" not in str(caught.value)


def test_hdfs_without_its_library_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HADOOP_HOME", "ARROW_LIBHDFS_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(ResourceError, match="needs Hadoop's native library"):
        matching("hdfs://namenode:8020/a")


def test_globs_match_folder_by_folder_in_order(bucket: str) -> None:
    put(bucket, "trips/2026-01-05/b.csv", "trips/2026-01-05/a.csv", "trips/2026-01-05/deep/c.csv")
    put(bucket, "trips/2026-01-05/_partial.csv", "trips/2026-01-05/.b.csv", "trips/2026-01-06/a.csv", "trips/x.csv")
    root = f"s3://{bucket}/trips"

    def found(pattern: str) -> list[str]:
        return [str(file).removeprefix(root) for file in matching(root + pattern)]

    assert found("/2026-01-05/*.csv") == ["/2026-01-05/a.csv", "/2026-01-05/b.csv"]
    assert found("/*/a.csv") == ["/2026-01-05/a.csv", "/2026-01-06/a.csv"]
    assert found("/2026-01-0[56]/?.csv") == ["/2026-01-05/a.csv", "/2026-01-05/b.csv", "/2026-01-06/a.csv"]
    assert found("/2026-01-06/a.csv") == ["/2026-01-06/a.csv"]
    assert found("/2026-01-07/*.csv") == found("/2026-01-05") == found("/none.csv") == []


def test_a_file_is_read_in_ranges_and_its_version_follows_its_content(bucket: str) -> None:
    content = bytes(range(256)) * 40_000
    put(bucket, "a.bin", content=content)
    file = RemoteFile(f"s3://{bucket}/a.bin")
    with file.open() as opened:
        assert opened.read(3) == content[:3]
        opened.seek(-5, 2)
        assert opened.read() == content[-5:]
    assert (storage.size_of(file), file.name, file.suffix) == (len(content), "a.bin", ".bin")
    before = storage.version_of(file)
    put(bucket, "a.bin", content=content[::-1])
    assert storage.version_of(file) != before, "same size, within the second"
    put(bucket, "a.bin", content=content)
    assert storage.version_of(file) == before
    with storage.local_copy(file) as copy:
        assert (copy.read_bytes(), copy.name) == (content, "a.bin")
    assert not copy.exists()


def test_files_go_there_and_back_and_away(bucket: str, tmp_path: Path) -> None:
    folder = f"s3://{bucket}/folder/17"
    contents = {"a": b"a", "deep/b": b"", "deep/c": bytes(6 * 2**20)} | {f"many/{n}": b"x" for n in range(30)}
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    storage.upload({tmp_path / name: f"{folder}/{name}" for name in contents})
    storage.download({f"{folder}/{name}": tmp_path / "back" / name for name in contents})
    assert {name: (tmp_path / "back" / name).read_bytes() for name in contents} == contents
    with pytest.raises(DataError, match="there is no such file"):
        storage.download({f"{folder}/none": tmp_path / "none"})
    storage.remove(folder)
    storage.remove(folder)
    assert matching(f"{folder}/*") == [] and storage.read_bytes(f"{folder}/a") is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "hunter2hunter2"}, "SIGNATURE_DOES_NOT_MATCH|ACCESS_DENIED"),
        ({"AWS_ACCESS_KEY_ID": "hunter2"}, "INVALID_ACCESS_KEY_ID|ACCESS_DENIED"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "ACCESS_DENIED"),
    ],
)
def test_wrong_and_missing_credentials(
    s3: Server, bucket: str, change: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    storage.forget_connections()
    uses = [lambda: matching(f"s3://{bucket}/*"), lambda: put(bucket, "a")]
    for use in uses[: 2 if any(change.values()) else 1]:  # S3Proxy answers 501 to an unsigned upload
        with pytest.raises(SpecError, match=f"refuses access. Received: ({words})") as caught:
            use()
        assert "export AWS_ACCESS_KEY_ID" in str(caught.value)
        assert not any(secret in str(caught.value) for secret in ("hunter2", s3.key, s3.secret))
        assert caught.value.__suppress_context__, "the server's own words are not for a log"


def test_no_such_bucket_and_no_such_file(s3: Server, bucket: str) -> None:
    del s3
    with pytest.raises(SpecError, match="no such bucket"):
        matching("s3://nobucket/a/*.csv")
    with pytest.raises(SpecError, match="no such bucket"):
        put("nobucket", "a")
    with pytest.raises(DataError, match=f"s3://{bucket}/none: there is no such file"):
        RemoteFile(f"s3://{bucket}/none").open()
    assert storage.read_bytes(f"s3://{bucket}/none") is None


def test_a_storage_that_goes_away_while_it_is_read(s3: Server, bucket: str) -> None:
    put(bucket, "big", content=bytes(6 * 2**20))
    with RemoteFile(f"s3://{bucket}/big").open() as file:
        file.read(10)
        s3.stop()
        try:
            with pytest.raises(TransientError, match="NETWORK_CONNECTION"):
                file.read()
        finally:
            s3.start()
    assert [str(one) for one in matching(f"s3://{bucket}/*")] == [f"s3://{bucket}/big"]
