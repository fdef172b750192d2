from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from pipelines import storage
from pipelines.artifact_store import ArtifactStore, discard, local_path
from pipelines.errors import DataError, SpecError, TransientError
from pipelines.settings import Settings
from tests.s3 import Server, free_port


def machine(folder: Path, bucket: str) -> ArtifactStore:
    return ArtifactStore.of(Settings(home=folder, state=folder / "state", artifacts_uri=f"s3://{bucket}/daybreak/"))


def make(store: ArtifactStore, *, text: str = "one") -> Path:
    folder = store.local / "shop" / "examples" / "17"
    (folder / "Split-train" / "deep").mkdir(parents=True)
    (folder / "Split-eval").mkdir()
    (folder / "Split-train" / "data").write_text(text)
    (folder / "Split-train" / "deep" / "empty").touch()
    return folder


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_without_a_storage_a_uri_is_the_local_path(settings: Settings) -> None:
    store = ArtifactStore.of(settings)
    folder = make(store)
    assert store.publish(folder) == str(folder) and store.fetch(str(folder)) == folder
    assert local_path(str(folder), settings) == folder and store.exists(str(folder))
    assert [path.name for path in folder.parent.iterdir()] == ["17"], "nothing is written beside it"
    store.discard(str(folder))
    assert not store.exists(str(folder)) and list(folder.parent.iterdir()) == []


def test_a_root_must_be_a_uri(settings: Settings) -> None:
    with pytest.raises(SpecError, match="DAYBREAK_ARTIFACTS must be a URI.*Received: /mnt/shared"):
        ArtifactStore.of(dataclasses.replace(settings, artifacts_uri="/mnt/shared"))


def test_another_machine_gets_the_same_files_and_keeps_them(bucket: str, tmp_path: Path) -> None:
    here, there = machine(tmp_path / "here", bucket), machine(tmp_path / "there", bucket)
    made = make(here)
    uri = here.publish(made)
    assert uri == f"s3://{bucket}/daybreak/shop/examples/17" and here.uri_of(made) == uri
    assert here.fetch(uri) == made, "its own is not fetched again"
    copy = there.fetch(uri)
    assert copy.is_relative_to(tmp_path / "there") and tree(copy) == tree(made)
    (copy / "kept").touch()
    assert (there.fetch(uri) / "kept").exists(), "the copy is used again"
    assert {path.name for path in copy.parent.iterdir()} == {"17", "17.published.json"}, "nothing is left over"


def test_a_single_file_is_an_artifact_too(bucket: str, tmp_path: Path) -> None:
    here, there = machine(tmp_path / "here", bucket), machine(tmp_path / "there", bucket)
    value = here.local / "tiny" / "value"
    value.parent.mkdir(parents=True)
    value.write_text("3")
    assert there.fetch(here.publish(value)).read_text() == "3"


def test_another_content_under_the_same_name_replaces_the_copy(bucket: str, tmp_path: Path) -> None:
    """The ids of artifacts begin again when the metadata database was restored."""
    here, there = machine(tmp_path / "here", bucket), machine(tmp_path / "there", bucket)
    uri = here.publish(make(here))
    there.fetch(uri)
    here.discard(uri)
    assert not here.exists(uri)
    assert here.publish(make(here, text="two")) == uri
    assert (there.fetch(uri) / "Split-train" / "data").read_text() == "two"


def test_what_was_not_published_completely_is_not_there(s3: Server, bucket: str, tmp_path: Path) -> None:
    here, there = machine(tmp_path / "here", bucket), machine(tmp_path / "there", bucket)
    made = make(here)
    uri = here.uri_of(made)
    storage.upload({made / "Split-train" / "data": f"{uri}/Split-train/leftover"})
    assert not there.exists(uri)
    with pytest.raises(DataError, match="not there, or not complete"):
        there.fetch(uri)
    here.publish(made)
    assert tree(there.fetch(uri)) == tree(made)
    assert "daybreak/shop/examples/17/Split-train/leftover" not in s3.objects(bucket)


def test_a_copy_that_differs_is_refused(bucket: str, tmp_path: Path) -> None:
    here, there = machine(tmp_path / "here", bucket), machine(tmp_path / "there", bucket)
    uri = here.publish(make(here))
    storage.write_bytes(f"{uri}/Split-train/data", b"two")
    with pytest.raises(TransientError, match="differs from what was published"):
        there.fetch(uri)
    assert not there.path_of(uri).exists()


def test_what_lies_elsewhere_stays_there(bucket: str, tmp_path: Path) -> None:
    here = machine(tmp_path / "here", bucket)
    schema = tmp_path / "schema"
    schema.mkdir()
    assert here.publish(schema) == str(schema) and here.fetch(str(schema)) == schema
    assert here.exists(str(schema)) and not here.is_ours(f"s3://{bucket}/other/17")


def test_a_storage_that_is_down_does_not_hide_why_a_node_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "any")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "any")
    storage.forget_connections()
    here = machine(tmp_path, "shop")
    made = make(here)
    with pytest.raises(TransientError, match="does not answer"):
        here.publish(made)
    here.discard(str(made))
    assert not made.exists()


def test_discarding_is_at_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    discard(tmp_path / "folder")
    discard(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []
