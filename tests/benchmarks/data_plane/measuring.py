"""What one stage costs: wall-clock, CPU, memory, and where the CPU went.

    usage, profile = measure(work, profiled=True)

Memory is the high-water mark of this process: no side of the comparison starts others that hold rows.
"""

from __future__ import annotations

import re
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from pipelines.settings import REPOSITORY

SAMPLE_SECS = 0.01
TOP = 8
NATIVE = "native threads (TensorFlow, Arrow, Polars, DuckDB)"
_SITE = re.compile(r".*/site-packages/|.*/lib/python3\.\d+/")


@dataclass(frozen=True)
class Usage:
    wall_secs: float
    cpu_secs: float
    """User and system, with children."""
    startup_cpu_secs: float
    """Before the work: imports. A warm worker has paid them."""
    peak_bytes: int
    startup_bytes: int


def measure(work: Callable[[], None], *, profiled: bool = False) -> tuple[Usage, dict[str, float]]:
    """Runs it; the second part is the share of the CPU time by place, the largest first (empty unless asked for)."""
    startup_cpu, startup_bytes, started = cpu_secs(), _peak_bytes(), time.monotonic()
    samples: Counter[str] = Counter()
    if profiled:
        with _sampling(samples):
            work()
    else:
        work()
    wall, cpu = time.monotonic() - started, cpu_secs() - startup_cpu
    usage = Usage(wall, cpu, startup_cpu, _peak_bytes(), startup_bytes)
    return usage, shares(samples, cpu) if profiled else {}


def cpu_secs() -> float:
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def _peak_bytes() -> int:
    """Not `ru_maxrss`: that begins with the size of the process that started this one."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) * 1024


def shares(samples: Counter[str], cpu: float) -> dict[str, float]:
    """Share of the CPU seconds by place: the largest ones, and what no Python thread accounts for."""
    seen = {place: secs / cpu for place, secs in samples.most_common(TOP)}
    rest = (sum(samples.values()) - sum(samples[place] for place in seen)) / cpu
    native = max(0.0, 1 - sum(samples.values()) / cpu)
    return {place: round(share, 3) for place, share in {**seen, "other Python code": rest, NATIVE: native}.items()}


@contextmanager
def _sampling(samples: Counter[str]) -> Iterator[None]:
    """Charges the CPU time of every thread to the code that it is in, a hundred times a second."""
    done = threading.Event()

    def run() -> None:
        before: dict[int, int] = {}
        while not done.wait(SAMPLE_SECS):
            frames = sys._current_frames()
            for thread in threading.enumerate():
                spent = _thread_nanoseconds(thread.native_id)
                gone = spent - before.get(thread.native_id or 0, spent)
                before[thread.native_id or 0] = spent
                if gone and thread.ident in frames and thread is not sampler:
                    samples[place_of(frames[thread.ident])] += gone / 1e9  # type: ignore[assignment]

    sampler = threading.Thread(target=run, daemon=True)
    interval = sys.getswitchinterval()
    # Or whatever lets go of the interpreter's lock by itself is seen more often than it runs.
    sys.setswitchinterval(SAMPLE_SECS / 100)
    sampler.start()
    try:
        yield
    finally:
        done.set()
        sampler.join()
        sys.setswitchinterval(interval)


def _thread_nanoseconds(thread: int | None) -> int:
    try:
        return int(Path(f"/proc/self/task/{thread}/schedstat").read_text().split()[0])
    except (OSError, IndexError):
        return 0  # it has just ended


def place_of(frame: FrameType) -> str:
    """`function (file)`, and the function of this repository that called it."""
    leaf, caller = _name(frame), ""
    outer: FrameType | None = frame
    while outer is not None and not caller:
        if outer.f_code.co_filename.startswith((f"{REPOSITORY}/components/", f"{REPOSITORY}/pipelines/")):
            caller = _name(outer)
        outer = outer.f_back
    return leaf if caller in ("", leaf) else f"{leaf} from {caller}"


def _name(frame: FrameType) -> str:
    file = _SITE.sub("", frame.f_code.co_filename).removeprefix(f"{REPOSITORY}/")
    return f"{frame.f_code.co_qualname} ({file})"
