from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import pipelines
from tests.components.contract.running import EXPECTATIONS, PIPELINE


@pytest.fixture(autouse=True)
def expect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """The expectations of the pipeline under test, in a folder of its own; call it to write others."""
    folder = tmp_path / "pipelines" / PIPELINE
    folder.mkdir(parents=True)
    monkeypatch.setattr(pipelines, "__path__", [*pipelines.__path__, str(tmp_path / "pipelines")])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setenv("DAYBREAK_STATE", str(tmp_path / "state"))

    def write(text: str) -> None:
        (folder / "expectations.py").write_text(text)

    write(EXPECTATIONS)
    yield write
    for name in [name for name in sys.modules if name.startswith(f"pipelines.{PIPELINE}")]:
        del sys.modules[name]
