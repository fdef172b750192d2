"""LitServe: the API class of its quick start."""

from __future__ import annotations

import sys
from typing import Any

import litserve
from scoring import Scorer


class Clicks(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.scorer = Scorer()

    # An annotation would be taken for the body's form.
    def decode_request(self, request):  # type: ignore[no-untyped-def]
        return request["instances"]

    def predict(self, rows: Any) -> Any:
        return self.scorer(rows)

    def encode_response(self, predictions):  # type: ignore[no-untyped-def]
        return {"predictions": predictions}


if __name__ == "__main__":
    litserve.LitServer(Clicks(), accelerator="cpu").run(
        port=int(sys.argv[1]), host="127.0.0.1", generate_client_file=False
    )
