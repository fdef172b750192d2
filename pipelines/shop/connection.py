"""One connection to a gateway, kept open: a comfortable client would take more CPU than the gateway.

async with Connection("127.0.0.1", 8600) as connection:
    answer = await connection.post("/v1/outcomes", body, at=1767657600.0)
"""

from __future__ import annotations

import asyncio
from typing import Self

from pipelines.errors import DaybreakError, TransientError

TRIES, PAUSE_SECS = 20, 0.5
_BUSY = (429, 503)


class Connection:
    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self._close()

    async def post(self, path: str, body: bytes, *, at: float) -> bytes:
        """`at`: the simulated time. A gateway that is busy or restarts is asked again.

        Raises:
          TransientError: it does not answer for ten seconds.
          DaybreakError: it refuses the request.
        """
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"x-simulated-time: {at:.6f}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        why = ""
        for number in range(TRIES):
            try:
                status, answer = await self._exchange(head.encode() + body)
            except (OSError, asyncio.IncompleteReadError) as error:
                self._close()
                why = str(error) or type(error).__name__
            else:
                if status == 200:
                    return answer
                why = f"{status}: {answer[:300].decode(errors='replace')}"
                if status not in _BUSY:
                    raise DaybreakError(f"the gateway refused {path}. Received: {why}")
            await asyncio.sleep(PAUSE_SECS if number else 0)
        raise TransientError(
            f"the gateway at {self._host}:{self._port} does not answer: {why}", fix="see `daybreak status`"
        )

    async def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
        return int(head.split(" ", 2)[1]), await reader.readexactly(length)

    def _close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None
