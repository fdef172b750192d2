"""When a request happens: now, or when its header says so, for traffic of simulated days.

clock = Clock(simulated=True)
clock.now(exchange)                 # seconds since 1970, of `x-simulated-time`
"""

from __future__ import annotations

import time

from components.serving.asgi import Exchange, HttpError

HEADER = b"x-simulated-time"
LATEST = 4_102_444_800
"""2100."""


class Clock:
    def __init__(self, *, simulated: bool) -> None:
        self.simulated, self._latest = simulated, 0.0

    @property
    def latest(self) -> float:
        """For what is asked without a request's time."""
        return self._latest if self.simulated else time.time()

    def now(self, exchange: Exchange) -> float:
        given = exchange.header(HEADER)
        if not self.simulated:
            if given is not None:
                raise HttpError(400, "x-simulated-time is for gateways that run with --simulated-clock")
            return time.time()
        try:
            found = float(given or b"nan")
        except ValueError:
            found = -1.0
        # Also false for NaN.
        if not 0 <= found <= LATEST:
            raise HttpError(
                400,
                "with --simulated-clock the header x-simulated-time must be seconds since 1970. "
                f"Received: {(given or b'none')[:40].decode(errors='replace')}",
            )
        self._latest = max(self._latest, found)
        return found
