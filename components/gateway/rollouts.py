"""The Rollouts page of the gateway, drawn by a process of its own: predictions share no lock and no memory with it.

pages = RolloutPages()
frame.find = pages.find                 # GET /rollouts and /rollouts/<id>
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from functools import partial

from components.serving.asgi import RETRY, Exchange, HttpError, Route

TIMEOUT_SECS, KEPT_SECS = 30.0, 5.0
"""A process that imports NumPy on a busy machine takes seconds; readers in a row get the same page."""
_KEPT_PAGES = 50
_PATH = re.compile(r"/rollouts(?:/(?P<rollout>[A-Za-z0-9_.-]{1,200}))?/?")
_HTML = (b"content-type", b"text/html; charset=utf-8")


class RolloutPages:
    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._kept: dict[str, tuple[float, bytes]] = {}

    def find(self, method: str, path: str) -> Route | None:
        found = _PATH.fullmatch(path) if method == "GET" else None
        return Route("rollouts", partial(self._page, found["rollout"] or ""), _HTML) if found else None

    async def _page(self, rollout: str, exchange: Exchange) -> bytes:
        del exchange
        async with self._turn:  # one process at a time, however many people look
            drawn, page = self._kept.get(rollout, (0.0, b""))
            if time.monotonic() - drawn > KEPT_SECS or not page:
                page = await asyncio.to_thread(_draw, rollout)
                if len(self._kept) >= _KEPT_PAGES:
                    self._kept.clear()
                self._kept[rollout] = (time.monotonic(), page)
            return page


def _draw(rollout: str) -> bytes:
    # `nice`: what predicts comes first.
    command = ["nice", "-n", "10", sys.executable, "-m", "components.rollout.page", rollout]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECS, check=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError) as error:
        raise HttpError(503, "the page could not be drawn; the gateway serves as before", RETRY) from error
    return done.stdout
