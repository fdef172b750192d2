"""How each baseline was learned, or why it was not: `learned.json`.

Learned(models={"linear": Attempt(rows=15000, seconds=0.8)}).write(folder)
Learned.read(folder).models["trees"].reason
"""

from __future__ import annotations

from pathlib import Path

from pipelines.manifest import write_atomically
from pipelines.spec import BaselineModel, Frozen

LEARNED_FILE = "learned.json"


class Attempt(Frozen):
    rows: int
    """Learned from."""
    seconds: float = 0.0
    reason: str = ""
    """Why there is no such model."""


class Learned(Frozen):
    models: dict[BaselineModel, Attempt]

    def write(self, folder: Path) -> None:
        write_atomically(folder / LEARNED_FILE, self.model_dump_json(indent=1).encode() + b"\n")

    @classmethod
    def read(cls, folder: Path) -> Learned:
        return cls.model_validate_json((folder / LEARNED_FILE).read_text(encoding="utf-8"))


def saved_model(folder: Path, name: str) -> Path:
    """As TFX lays out a model for serving."""
    return folder / name / "Format-Serving"
