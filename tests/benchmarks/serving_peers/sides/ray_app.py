"""Ray Serve: one deployment, as its quick start has it."""

from __future__ import annotations

import sys
from typing import Any

import ray
from ray import serve
from starlette.requests import Request


@serve.deployment
class Clicks:
    def __init__(self) -> None:
        from scoring import Scorer

        self.scorer = Scorer()

    async def __call__(self, request: Request) -> dict[str, Any]:
        return {"predictions": self.scorer((await request.json())["instances"])}


if __name__ == "__main__":
    ray.init(include_dashboard=False, _temp_dir=sys.argv[2])
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Clicks.bind(), blocking=True)
