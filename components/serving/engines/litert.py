"""A model that `components.compression` made for LiteRT: its transform graph in TensorFlow, what follows in LiteRT.

    engine = LitertEngine(saved_model / "assets.extra" / "litert")

LiteRT has no kernels for texts and vocabularies, so the SavedModel around the file gives what the file reads.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from components.compression.litert_file import LitertFile
from components.compression.litert_paths import FOLDER, MODEL_FILE
from components.serving.engine import Predictions, TensorFlowEngine
from pipelines.errors import SpecError

TRANSFORM_COLUMNS, TRANSFORM_EXAMPLES = "transform_columns", "transform_examples"


class LitertEngine(TensorFlowEngine):
    columns_signature, examples_signature = TRANSFORM_COLUMNS, TRANSFORM_EXAMPLES

    def __init__(self, folder: Path) -> None:
        """Raises `SpecError` when the folder holds no such file, or is not in its SavedModel."""
        try:
            self._file = LitertFile(folder)
        except (ValueError, OSError, KeyError) as error:
            raise SpecError(
                f"`--model` must be {FOLDER} of a SavedModel, with {MODEL_FILE} in it. "
                f"Received: {type(error).__name__}: {str(error)[:300]}",
                fix="`compress` with a variant litert_dynamic or litert_int8 makes it",
                place=str(folder),
            ) from error
        # An interpreter computes in buffers of its own.
        self._turn = threading.Lock()
        self.outputs = self._file.inputs
        super().__init__(folder.parents[len(FOLDER.parts) - 1])

    def _run(self, function: Callable[..., Any], arrays: Sequence[npt.NDArray[Any]]) -> Predictions:
        features = dict(zip(self.outputs, self._call(function, arrays), strict=True))
        with self._turn:
            return self._file(features)
