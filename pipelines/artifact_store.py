"""Artifacts for every machine: made and read in a local folder, kept on a storage.

    store = ArtifactStore.of(settings)          # DAYBREAK_ARTIFACTS=s3://bucket/daybreak
    uri = store.publish(folder)                 # s3://bucket/daybreak/shop/examples/examples/17
    folder = store.fetch(uri)                   # the local copy, made when there is none

Without DAYBREAK_ARTIFACTS a URI is the local path. An artifact is complete when its manifest is there, which is written
last: beside the folder, with size and SHA-256 of every file. A copy is used while its manifest equals the storage's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines import storage
from pipelines.errors import DataError, SpecError, TransientError
from pipelines.manifest import write_atomically
from pipelines.settings import ARTIFACTS_VARIABLE, Settings
from pipelines.spec import Frozen

MANIFEST = ".published.json"


class Content(Frozen):
    byte_count: int
    sha256: str


class Published(Frozen):
    """What is below the folder, by path relative to it; `.` where the artifact is a single file."""

    files: dict[str, Content]
    folders: tuple[str, ...]

    @classmethod
    def of(cls, root: Path) -> Published:
        if root.is_file():
            return cls(files={".": _content(root)}, folders=())
        paths = sorted(root.rglob("*"))
        return cls(
            files={str(path.relative_to(root)): _content(path) for path in paths if path.is_file()},
            folders=tuple(str(path.relative_to(root)) for path in paths if path.is_dir()),
        )


@dataclass(frozen=True)
class ArtifactStore:
    local: Path
    root: str
    """URI; empty where artifacts are local only."""

    @classmethod
    def of(cls, settings: Settings) -> ArtifactStore:
        root = settings.artifacts_uri.rstrip("/")
        if root and not storage.is_remote(root):
            raise SpecError(
                f"{ARTIFACTS_VARIABLE} must be a URI such as s3://bucket/daybreak. Received: {root}",
                fix="for another local folder set DAYBREAK_STATE",
            )
        return cls(settings.artifacts, root)

    def is_ours(self, uri: str) -> bool:
        return bool(self.root) and uri.startswith(f"{self.root}/")

    def uri_of(self, path: Path) -> str:
        """Where an artifact of this machine is for others; what lies elsewhere, such as a user's schema, stays there."""
        if not self.root or not path.is_relative_to(self.local):
            return str(path)
        return f"{self.root}/{path.relative_to(self.local)}"

    def path_of(self, uri: str) -> Path:
        return self.local / uri.removeprefix(f"{self.root}/") if self.is_ours(uri) else Path(uri)

    def exists(self, uri: str) -> bool:
        """Whether it was published completely."""
        if not self.is_ours(uri):
            return storage.exists(uri)
        return storage.exists(uri + MANIFEST)

    def publish(self, path: Path) -> str:
        """Uploads an artifact; done again from the start when it was interrupted. Returns its URI."""
        uri = self.uri_of(path)
        if not self.is_ours(uri):
            return uri
        self._remove_remote(uri)
        published = Published.of(path)
        storage.upload({path / name: _below(uri, name) for name in published.files})
        manifest = published.model_dump_json(indent=1).encode()
        storage.write_bytes(uri + MANIFEST, manifest)
        write_atomically(_manifest_of(path), manifest)
        return uri

    def fetch(self, uri: str) -> Path:
        """The local copy of an artifact; of what is not ours, its own path.

        Raises:
            DataError: it is not complete on the storage, or damaged.
        """
        path = self.path_of(uri)
        if not self.is_ours(uri):
            return path
        manifest = storage.read_bytes(uri + MANIFEST)
        if manifest is None:
            raise DataError("the artifact is not there, or not complete", fix="run the node that makes it", place=uri)
        if not path.exists() or _read(_manifest_of(path)) != manifest:
            self._download(uri, path, manifest)
        return path

    def discard(self, uri: str) -> None:
        """Removes an artifact here and on the storage, complete or not.

        What a storage that is down keeps, no one refers to.
        """
        path = self.path_of(uri)
        discard(path)
        published = self.uri_of(path)
        if self.is_ours(published):
            _manifest_of(path).unlink(missing_ok=True)
            with contextlib.suppress(TransientError):
                self._remove_remote(published)

    def _remove_remote(self, uri: str) -> None:
        """The manifest first: what is left of an interruption is never taken for complete."""
        storage.remove(uri + MANIFEST)
        storage.remove(uri)

    def _download(self, uri: str, path: Path, manifest: bytes) -> None:
        published = Published.model_validate_json(manifest)
        discard(path)
        with _beside(path) as fresh:
            target = fresh / path.name
            if "." not in published.files:
                target.mkdir()
            for folder in published.folders:
                (target / folder).mkdir(parents=True)
            storage.download({_below(uri, name): target / name for name in published.files})
            if Published.of(target) != published:
                raise TransientError(
                    "the copy of an artifact differs from what was published",
                    fix="run the node again; if it stays so, delete the artifact there and run the node that makes it",
                    place=uri,
                )
            write_atomically(_manifest_of(path), manifest)
            _put(target, path)


def local_path(uri: str, settings: Settings | None = None) -> Path:
    """Of an artifact by its URI in an outcome or in ML Metadata."""
    return ArtifactStore.of(settings or Settings.from_environment()).fetch(uri)


def discard(path: Path) -> None:
    """Removes a file or folder at once for every reader: threads that still write find it gone."""
    if path.exists():
        with _beside(path) as trash:
            os.replace(path, trash / path.name)


@contextlib.contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A folder of the same disk for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=path.parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _put(fresh: Path, path: Path) -> None:
    """Another node may have fetched the same artifact meanwhile: then that copy stays."""
    try:
        fresh.rename(path)
    except OSError:
        if not path.is_dir():
            raise


def _below(uri: str, name: str) -> str:
    return uri if name == "." else f"{uri}/{name}"


def _manifest_of(path: Path) -> Path:
    return path.with_name(path.name + MANIFEST)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _content(path: Path) -> Content:
    with path.open("rb") as file:
        return Content(byte_count=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())
