"""The LiteRT file in a SavedModel, without what made it: a server needs no Keras.

file = LitertFile(saved_model / FOLDER)
file({"price": price, "item_id": ids})          # [rows, outputs] float32
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from components.compression.litert_paths import MODEL_FILE

SIGNATURE, OUTPUT = "serving_default", "predictions"


class LitertFile:
    """On one thread; one call at a time."""

    def __init__(self, folder: Path) -> None:
        """Raises `ValueError` when it is none."""
        self._interpreter = Interpreter(str(folder / MODEL_FILE), num_threads=1)
        self._run = self._interpreter.get_signature_runner(SIGNATURE)
        self.inputs = tuple(self._run.get_input_details())

    def __call__(self, features: Mapping[str, Any]) -> npt.NDArray[np.float32]:
        found = np.asarray(self._run(**{name: np.asarray(features[name]) for name in self.inputs})[OUTPUT], np.float32)
        return found.reshape(len(found), -1)
