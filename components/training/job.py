"""One training, written down: what the executor hands to the loop, in this process or to its workers.

job = Job(model="pipelines.shop.model", transform=…, rows=…, folder=…, label="clicked", train=spec.train)
Job.read(job.write())
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from pipelines.manifest import write_atomically
from pipelines.spec import Frozen, Train

JOB_FILE = "job.json"


class Job(Frozen):
    model: str
    """Importable module with `build_model`, and `callbacks` if there are any."""
    transform: Path
    """Output folder of Transform: graph, vocabularies, transformed schema."""
    rows: Path
    """Folder of `input.pack`: one packed split each, `train` and `eval`."""
    folder: Path
    """Scratch of this run, kept between tries: checkpoints, the trained weights, logs of workers."""
    label: str
    weight: str | None = None
    """Column of weights; without one all rows weigh the same."""
    train: Train
    identity: str = ""
    """Digest of everything else the weights depend on (code, data); a checkpoint of another identity is not resumed."""

    @property
    def checkpoints(self) -> Path:
        return self.folder / "steps"

    @property
    def place(self) -> str:
        return self.model

    @property
    def digest(self) -> str:
        """Identity of the run of steps: equal digests mean that a checkpoint of one can be continued by the other."""
        # The box of time, and how often to save, decide where training ends, not the way there.
        train = self.train.model_dump_json(exclude={"budget_minutes", "checkpoint_every_steps"})
        return hashlib.sha256(f"{self.model} {self.label} {self.weight} {train} {self.identity}".encode()).hexdigest()

    def write(self) -> Path:
        path = self.folder / JOB_FILE
        write_atomically(path, self.model_dump_json(indent=1).encode() + b"\n")
        return path

    @classmethod
    def read(cls, path: Path) -> Job:
        return cls.model_validate_json(path.read_text(encoding="utf-8"))
