"""BentoML: a service of one API, as its quick start has it."""

from __future__ import annotations

from typing import Any

import bentoml
from scoring import Scorer


@bentoml.service
class Clicks:
    def __init__(self) -> None:
        self.scorer = Scorer()

    @bentoml.api
    def predict(self, instances: list[dict[str, Any]]) -> dict[str, Any]:
        return {"predictions": self.scorer(instances)}
