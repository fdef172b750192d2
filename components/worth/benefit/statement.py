"""What the `worth` gate found: `benefit.json`, and a part of the cost ledger."""

from __future__ import annotations

from pathlib import Path

from components.inference.net_benefit import Estimate
from pipelines.manifest import write_atomically
from pipelines.spec import Frozen

STATEMENT_FILE = "benefit.json"


class Statement(Frozen):
    cost_usd: float
    """Training and gates, as made, and extra serving until the next model."""
    kpi: str = ""
    lift: Estimate | None = None
    """Relative change of the KPI. None: there was nothing to compare, and `reason` says what."""
    net_usd: Estimate | None = None
    reason: str = ""

    def write(self, folder: Path) -> None:
        write_atomically(folder / STATEMENT_FILE, self.model_dump_json(indent=1).encode() + b"\n")

    @classmethod
    def read(cls, folder: Path) -> Statement:
        return cls.model_validate_json((folder / STATEMENT_FILE).read_text(encoding="utf-8"))
