"""Where a SavedModel holds its LiteRT file."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("assets.extra") / "litert"
MODEL_FILE, INPUTS_FILE = "model.tflite", "inputs.json"
