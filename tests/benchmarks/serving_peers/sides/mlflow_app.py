"""MLflow: saves a pyfunc model whose class scores the rows; `mlflow models serve` is then the server."""

from __future__ import annotations

import sys
from typing import Any

import mlflow.pyfunc
from scoring import Scorer


class Clicks(mlflow.pyfunc.PythonModel):
    def load_context(self, context: Any) -> None:
        self.scorer = Scorer()

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return self.scorer(model_input.to_dict("records"))


if __name__ == "__main__":
    mlflow.pyfunc.save_model(sys.argv[1], python_model=Clicks(), pip_requirements=["mlflow", "tensorflow-cpu"])
