"""What a data day cost once, kept for the windows that it is in.

    with DayStore.opened(pipeline) as store:
        entry = store.entry("contract", key, build)      # built into a folder, unless it is there and whole
        place(entry.path("rows.parquet"), target)        # a hard link: no bytes are written twice
        store.prune("contract")

`<artifacts>/<pipeline>/.days/<stage>/<key>/`, with the size and digest of every file in `entry.json`. An entry appears
whole or not at all. Artifacts keep their files when an entry goes, and entries theirs when an artifact goes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from pydantic import ValidationError

from pipelines.settings import Settings
from pipelines.spec import Frozen

FOLDER = ".days"
_ENTRY_FILE = "entry.json"
_NEW = ".new-"


class _File(Frozen):
    size: int
    sha256: str


class _Files(Frozen):
    files: dict[str, _File]
    """By path inside of the entry."""


@dataclass(frozen=True)
class Entry:
    folder: Path
    _files: dict[str, _File]

    def digest_below(self, folder: str) -> str:
        """Of names and contents."""
        files = sorted((name, file) for name, file in self._files.items() if name.startswith(f"{folder}/"))
        lines = [f"{name} {file.sha256}\n" for name, file in files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def names(self) -> list[str]:
        return sorted(self._files)

    def path(self, name: str) -> Path:
        return self.folder / name

    def digest_of(self, name: str) -> str:
        return self._files[name].sha256


@dataclass
class DayStore:
    root: Path
    _used: dict[str, list[str]] = field(default_factory=dict)
    """Keys by stage, of this run."""
    _lock: int = -1

    @classmethod
    @contextlib.contextmanager
    def opened(cls, pipeline: str) -> Iterator[Self]:
        """Nothing is pruned while another run has it open."""
        root = Settings.from_environment().artifacts / pipeline / FOLDER
        root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            yield cls(root, _lock=descriptor)
        finally:
            os.close(descriptor)

    def find(self, stage: str, key: str) -> Entry | None:
        """None as well when a file is damaged; such an entry is removed."""
        self._used.setdefault(stage, []).append(key)
        folder = self.root / stage / key
        if not folder.exists():
            return None
        known = _listed(folder)
        if known is None or any(_described(folder / name, file) != file for name, file in known.files.items()):
            print(f"day store: {stage}/{key} is damaged, and is made again", flush=True)
            _remove(folder)
            return None
        os.utime(folder)
        return Entry(folder, known.files)

    def entry(self, stage: str, key: str, build: Callable[[Path], None]) -> Entry:
        found = self.find(stage, key)
        if found is None:
            with self.new() as folder:
                build(folder)
                found = self.add(stage, key, folder)
        return found

    @contextlib.contextmanager
    def new(self) -> Iterator[Path]:
        """A folder to fill for `add`; what is left of it is removed."""
        folder = self.root / f"{_NEW}{uuid.uuid4().hex}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def add(self, stage: str, key: str, folder: Path) -> Entry:
        """Takes the folder away. When two runs make the same entry, the first one's stays."""
        paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        files = _Files(files={str(path.relative_to(folder)): _describe(path) for path in paths})
        (folder / _ENTRY_FILE).write_text(files.model_dump_json())
        target = self.root / stage / key
        target.parent.mkdir(exist_ok=True)
        try:
            folder.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            os.utime(target)
        return Entry(target, files.files)

    def prune(self, stage: str) -> None:
        """Keeps what this run used, and as many more: the last used of other windows, such as a backfill's.

        Left to a later run while another one has the store open.
        """
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            return
        used = set(self._used.get(stage, []))
        others = [folder for folder in (self.root / stage).glob("*") if folder.name not in used]
        others.sort(key=lambda folder: folder.stat().st_mtime_ns, reverse=True)
        for folder in [*others[len(used) :], *self.root.glob(f"{_NEW}*")]:
            _remove(folder)
        fcntl.flock(self._lock, fcntl.LOCK_SH)


def place(source: Path, target: Path) -> None:
    """`target` becomes the same file as `source`, or a copy where that is on another device."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        try:
            os.link(source, temporary)
        except OSError as error:
            # EPERM and ENOTSUP: a file system without hard links. EMLINK: as many as it can have.
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise
            shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _listed(folder: Path) -> _Files | None:
    try:
        return _Files.model_validate_json((folder / _ENTRY_FILE).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _describe(path: Path) -> _File:
    with path.open("rb") as file:
        return _File(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _described(path: Path, expected: _File) -> _File | None:
    """None when it is not there; a digest costs a second per two gigabytes, and none where the size differs."""
    try:
        return _describe(path) if path.stat().st_size == expected.size else None
    except OSError:
        return None


def _remove(folder: Path) -> None:
    """At once for every reader."""
    trash = folder.parent / f"{_NEW}{uuid.uuid4().hex}"
    with contextlib.suppress(FileNotFoundError):
        folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
