"""A registry in a JSON file, for processes that are killed; and a model folder for every version."""

from __future__ import annotations

import datetime
import fcntl
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.ledger.entries import ALIASES
from components.registry.versions import Registry
from pipelines.errors import TransientError


class FileRegistry:
    """What `write_projection` asks of a `Registry`. `down` says that it does not answer."""

    def __init__(self, path: Path) -> None:
        self.path, self.down = path, False

    def connect(self, name: str) -> Registry:
        del name
        if self.down:
            raise TransientError("the model registry does not answer", fix="start it")
        registry: Any = self
        return registry  # type: ignore[no-any-return]

    def aliases(self, names: Sequence[str] = ALIASES) -> dict[str, str | None]:
        found = self._read()["aliases"]
        return {name: found.get(name) for name in names}

    def set_alias(self, alias: str, version: str | None) -> bool:
        with self._changed() as content:
            content["aliases"][alias] = version
        return True

    def tag(self, version: str, name: str, value: str) -> None:
        with self._changed() as content:
            content["tags"].setdefault(version, {})[name] = value

    def tags(self, version: str) -> dict[str, str]:
        found: dict[str, str] = self._read()["tags"].get(version, {})
        return found

    def data_day(self, version: str) -> datetime.date:
        del version
        return datetime.date.min

    def _read(self) -> dict[str, Any]:
        if not self.path.exists():
            return {"aliases": {}, "tags": {}}
        content: dict[str, Any] = json.loads(self.path.read_text())
        return content

    @contextmanager
    def _changed(self) -> Iterator[dict[str, Any]]:
        with self.path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            content = self._read()
            yield content
            temporary = self.path.with_suffix(".new")
            temporary.write_text(json.dumps(content))
            temporary.replace(self.path)


def fetch_into(registry: FileRegistry) -> Callable[[str, Path], None]:
    def fetch(version: str, folder: Path) -> None:
        registry.connect("")
        (folder / "variables").mkdir()
        (folder / "variables" / "variables.index").write_text(version)
        (folder / "saved_model.pb").write_text(version)

    return fetch
