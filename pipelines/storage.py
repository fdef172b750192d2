"""Files and folders by URI: a local path, `s3://`, `gs://` or `hdfs://`. No other module knows file systems.

    for file in matching("s3://shop/trips/2026-01-05/*.parquet"):
        version_of(file)                                    # changes with the content
        pq.ParquetFile(readable_by_arrow(file))             # reads the ranges it needs
    upload({Path("report.json"): "s3://shop/daybreak/report.json"})

Credentials, region and endpoint come from where the tools of the storage look for them, such as AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_PROFILE, AWS_REGION and AWS_ENDPOINT_URL; never from a URI, and no message names them.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import glob
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

import pyarrow as pa
from pyarrow import fs

from pipelines.errors import ResourceError, SpecError
from pipelines.storage_errors import FIXES, URI, GoneError, explained, no_bucket, s3_endpoint

SCHEMES = ("s3", "gs", "hdfs")
_READ_AHEAD_BYTES = 4 * 2**20
_CHUNK_BYTES = 2**20
_COPIES_AT_ONCE = 8
_CONNECT_SECS, _REQUEST_SECS, _TRIES = 5, 60, 4


@dataclass(frozen=True, order=True)
class RemoteFile:
    """What readers need of a `Path`, for a file on a storage."""

    uri: str

    def __str__(self) -> str:
        return self.uri

    @property
    def name(self) -> str:
        return self.uri.rpartition("/")[2]

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix

    def open(self, mode: str = "rb") -> BinaryIO:
        """Reads ahead, and only what is asked for."""
        assert mode == "rb"
        with explained(self.uri):
            raw = _Explained(_opened(self.uri), self.uri)
        return cast("BinaryIO", io.BufferedReader(raw, _READ_AHEAD_BYTES))


File = Path | RemoteFile


class _Explained(io.RawIOBase):
    """Arrow's file for Python's readers; what fails later is told like what fails at once."""

    def __init__(self, file: pa.NativeFile, uri: str) -> None:
        self._file, self._uri = file, uri

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return int(self._file.seek(offset, whence))

    def tell(self) -> int:
        return int(self._file.tell())

    def readinto(self, buffer: Any, /) -> int:
        with explained(self._uri):
            return int(self._file.readinto(buffer))

    def close(self) -> None:
        self._file.close()
        super().close()


def is_remote(place: str) -> bool:
    """Whether it names a storage, and not a path of this machine.

    Raises:
        SpecError: a scheme that is not supported, or credentials in the URI.
    """
    found = URI.match(place)
    if found is None:
        return False
    scheme, host = found["scheme"], found["host"]
    if "@" in host:
        raise SpecError(
            f"a URI must not hold credentials. Received: {scheme}://***@{host.rpartition('@')[2]}/…",
            fix=f"remove them from the URI; {FIXES.get(scheme, FIXES['s3'])}",
        )
    if scheme not in SCHEMES:
        raise SpecError(
            f"a place must be a path or start with {', '.join(f'{one}://' for one in SCHEMES)}. Received: {scheme}://…",
            fix="copy the data to one of them",
        )
    if not host and scheme != "hdfs":
        raise SpecError(f"a URI must name a bucket. Received: {place}", fix=f"write {scheme}://bucket/folder")
    return True


def matching(pattern: str) -> list[File]:
    """Files by a path or URI with `*`, `?` and `[…]`, in order; what other tools have not finished is left out.

    A `*` does not match a `/`. Unfinished files begin with a dot or an underscore.
    """
    if is_remote(pattern):
        with explained(pattern):
            found: Sequence[File] = _remote_matches(pattern)
    else:
        literal = [Path(pattern)] if Path(pattern).is_file() else []
        found = literal or [path for path in map(Path, sorted(glob.glob(pattern))) if path.is_file()]
    return [file for file in found if not file.name.startswith((".", "_"))]


def _remote_matches(pattern: str) -> list[RemoteFile]:
    """Only folders that match so far are listed."""
    filesystem, path = _located(pattern)
    if filesystem.get_file_info(path).is_file:
        return [RemoteFile(pattern)]
    bucket, *parts = path.split("/")
    found = [bucket]
    for depth, part in enumerate(parts, start=1):
        wanted = fs.FileType.File if depth == len(parts) else fs.FileType.Directory
        found = [inside for folder in found for inside in _step(filesystem, folder, part, wanted)]
    start = pattern.removesuffix(path)
    files = [RemoteFile(start + info.path) for info in filesystem.get_file_info(sorted(found)) if info.is_file]
    if not files and filesystem.get_file_info(bucket or "/").type == fs.FileType.NotFound:
        raise no_bucket(pattern)
    return files


def _step(filesystem: fs.FileSystem, folder: str, part: str, wanted: fs.FileType) -> list[str]:
    if not glob.has_magic(part):
        return [f"{folder}/{part}"]
    infos = filesystem.get_file_info(fs.FileSelector(folder or "/", allow_not_found=True))
    return [info.path for info in infos if info.type == wanted and fnmatch.fnmatchcase(info.base_name, part)]


def size_of(file: File) -> int:
    if isinstance(file, Path):
        return file.stat().st_size
    with explained(file.uri), _opened(file.uri) as opened:
        return int(opened.size())


def version_of(file: RemoteFile) -> str:
    """The storage's own digest; size and time of change where it has none."""
    filesystem, path = _located(file.uri)
    with explained(file.uri):
        with filesystem.open_input_stream(path) as opened:
            metadata = opened.metadata()
        if tag := metadata.get(b"ETag") or metadata.get("ETag"):
            return str(tag.decode() if isinstance(tag, bytes) else tag).strip('"')
        info = filesystem.get_file_info(path)
        return f"{info.size}:{info.mtime_ns}"


def readable_by_arrow(file: File) -> Path | pa.NativeFile:
    """For a reader of Arrow, which opens paths itself."""
    if isinstance(file, Path):
        return file
    with explained(file.uri):
        return _opened(file.uri)


@contextlib.contextmanager
def local_copy(file: File) -> Iterator[Path]:
    """For readers that know paths only; gone afterwards."""
    if isinstance(file, Path):
        yield file
        return
    with tempfile.TemporaryDirectory(prefix="daybreak-") as folder:
        copy = Path(folder) / file.name
        download({file.uri: copy})
        yield copy


def upload(files: Mapping[Path, str]) -> None:
    """Each to its URI, some at a time."""
    _each(files.items(), lambda path, uri: _copy(fs.LocalFileSystem(), str(path), *_located(uri), place=uri))


def download(files: Mapping[str, Path]) -> None:
    """Each to its path, some at a time."""
    for folder in {path.parent for path in files.values()}:
        folder.mkdir(parents=True, exist_ok=True)
    _each(files.items(), lambda uri, path: _copy(*_located(uri), fs.LocalFileSystem(), str(path), place=uri))


def _each(pairs: Iterable[tuple[Any, Any]], copy: Callable[[Any, Any], None]) -> None:
    with ThreadPoolExecutor(_COPIES_AT_ONCE) as pool:
        for _ in pool.map(lambda pair: copy(*pair), pairs):
            pass


def _copy(source: fs.FileSystem, path: str, target: fs.FileSystem, target_path: str, *, place: str) -> None:
    """Not by Arrow's `copy_files`: eight at once wait for ever, each in a thread of the pool that is to upload its parts."""
    opened = source.open_input_stream
    with explained(place), opened(path) as incoming, target.open_output_stream(target_path) as outgoing:
        while chunk := incoming.read(_CHUNK_BYTES):
            outgoing.write(chunk)


def write_bytes(uri: str, content: bytes) -> None:
    """Readers see all of it or nothing."""
    filesystem, path = _located(uri)
    with explained(uri), filesystem.open_output_stream(path) as file:
        file.write(content)


def read_bytes(uri: str) -> bytes | None:
    """None when there is no such file."""
    try:
        with explained(uri), _opened(uri) as file:
            return bytes(file.read())
    except GoneError:
        return None


def exists(place: str) -> bool:
    """Of a path or URI."""
    if not is_remote(place):
        return Path(place).exists()
    filesystem, path = _located(place)
    with explained(place):
        return bool(filesystem.get_file_info(path).type != fs.FileType.NotFound)


def remove(uri: str) -> None:
    """A file, or a folder with all that is in it; nothing when there is none."""
    filesystem, path = _located(uri)
    with explained(uri):
        found = filesystem.get_file_info(path).type
        if found == fs.FileType.File:
            filesystem.delete_file(path)
        elif found == fs.FileType.Directory:
            _remove_folder(filesystem, path)


def _remove_folder(filesystem: fs.FileSystem, path: str) -> None:
    """From the inside out: servers that keep objects as files refuse to remove a folder that is not empty."""
    inside = filesystem.get_file_info(fs.FileSelector(path, recursive=True, allow_not_found=True))
    for info in inside:
        if info.is_file:
            filesystem.delete_file(info.path)
    folders = [info.path for info in inside if info.type == fs.FileType.Directory]
    for folder in (*sorted(folders, reverse=True), path):
        with contextlib.suppress(FileNotFoundError):  # it went with its last file
            filesystem.delete_dir(folder)


def _opened(uri: str) -> pa.NativeFile:
    filesystem, path = _located(uri)
    return filesystem.open_input_file(path)


def _located(uri: str) -> tuple[fs.FileSystem, str]:
    """The file system and the path in it."""
    is_remote(uri)
    found = URI.match(uri)
    assert found is not None
    start = "" if found["scheme"] == "hdfs" else found["host"]
    with explained(uri):
        return _filesystem(found["scheme"], found["host"]), f"{start}/{found['key']}".rstrip("/")


@functools.cache
def _filesystem(scheme: str, host: str) -> fs.FileSystem:
    if scheme == "s3":
        return _s3(host)
    if scheme == "gs":
        return fs.GcsFileSystem()
    name, _, port = host.partition(":")
    try:
        return fs.HadoopFileSystem(name or "default", int(port or 0))
    except OSError as error:
        raise ResourceError(
            f"hdfs:// needs Hadoop's native library. Received: {str(error).splitlines()[0][:200]}",
            fix="install Hadoop and set HADOOP_HOME, CLASSPATH=$(hadoop classpath --glob) and JAVA_HOME",
        ) from error


def _s3(bucket: str) -> fs.S3FileSystem:
    endpoint = urlsplit(s3_endpoint())
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        region = "us-east-1" if endpoint.netloc else fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        region=region,
        scheme=endpoint.scheme or "https",
        endpoint_override=endpoint.netloc or None,
        connect_timeout=_CONNECT_SECS,
        request_timeout=_REQUEST_SECS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES),
    )


def forget_connections() -> None:
    """When the environment changed."""
    _filesystem.cache_clear()
