"""A gateway that logs as fast as it can, and says which outcomes it may acknowledge; it is killed from outside."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from components.exposures.log import Log
from components.exposures.records import Exposure, Outcome, now_micros


async def run(folder: Path, trial: str) -> None:
    log = Log(folder, gateway="g", rotate_rows=200, rotate_secs=0.05)
    number = 0
    while True:
        for _ in range(20):
            number += 1
            log.expose(Exposure(decision_id=f"{trial}-{number}", time=now_micros(), model="shop", unit_id="u"))
        now = now_micros()
        await log.record([Outcome(f"{trial}-{number}", f"{trial}-{number}", "", "clicked", 1.0, now, now)])
        # One `write` of whole lines: the parent reads what was acknowledged, and nothing else.
        sys.stdout.write(f"{number} {log.counts.exposures}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2]))
