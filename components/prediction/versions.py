"""Which version predicts, and its package on this machine.

    version = choose_version("champion", name="shop", settings=settings)      # "3"
    package = fetch_package(version, name="shop", settings=settings)          # <state>/models/shop/3

With the ledger and a package that is here already, predictions need no MLflow.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from components.ledger.database import COMMAND_PATIENCE_SECS
from components.ledger.entries import CHALLENGER, CHAMPION, champion, standing
from components.ledger.ledger import Ledger
from components.registry.download import download_package
from components.registry.package import SAVED_MODEL, SCHEMA
from components.registry.versions import Registry
from components.rollout.versions import split_version
from pipelines.errors import DataError, SpecError
from pipelines.settings import Settings

_ALLOWED = "`--model` must be champion, challenger, @ALIAS of the registry, or a version"


def choose_version(asked: str, *, name: str, settings: Settings) -> str:
    """Raises `SpecError` for one that does not exist."""
    if asked in (CHAMPION, CHALLENGER):
        found = _of_ledger(asked, name=name, settings=settings)
    elif asked.startswith("@"):
        found = Registry.connect(settings, name).aliases([asked[1:]])[asked[1:]]
    else:
        found = asked if split_version(name, asked)[1].isdecimal() else None
    if found is None:
        raise SpecError(
            f"{_ALLOWED}. Received: --model {asked}, which {name} does not have",
            fix=f"see `daybreak champion {name} --history` for versions",
        )
    return found


def _of_ledger(alias: str, *, name: str, settings: Settings) -> str | None:
    entries = Ledger.open(settings, name, patience_secs=COMMAND_PATIENCE_SECS).entries()
    if alias == CHALLENGER:
        return standing(entries).challenger
    found = champion(entries)
    return found.version if found else None


def fetch_package(version: str, *, name: str, settings: Settings) -> Path:
    """The folder with SavedModel and schema, whole or not there; a version never changes."""
    model, number = split_version(name, version)
    folder = settings.state / "models" / model / number
    if _is_whole(folder):
        return folder
    registry = Registry.connect(settings, model)
    try:
        registered = registry.version(number)
    except DataError as error:
        raise SpecError(
            f"{_ALLOWED}. Received: {version}, which the registry lacks",
            fix=f"see `daybreak champion {name} --history`",
        ) from error
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{number}.") as temporary:
        found = download_package(registry, registered, Path(temporary))
        if not _is_whole(found):
            raise SpecError(
                f"a version must hold {SAVED_MODEL} and {SCHEMA}. Received: {name} version {version}, without",
                fix="register it by a retrain, or name another version",
            )
        shutil.rmtree(folder, ignore_errors=True)
        found.rename(folder)
    return folder


def _is_whole(folder: Path) -> bool:
    return (folder / SAVED_MODEL / "saved_model.pb").exists() and (folder / SCHEMA).exists()
