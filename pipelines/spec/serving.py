"""What the server of a model must achieve: `serving`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from pipelines.spec.base import Frozen, Positive


class Serving(Frozen):
    """How a candidate is tried in a real server process, and the bounds it must keep. A bound left out is only reported."""

    max_p50_ms: Positive | None = None
    max_p99_ms: Positive | None = 250
    """Of single rows under `clients` at once, as a client sees them; the median of three windows of time."""
    min_requests_per_sec: Positive | None = None
    max_cold_start_secs: Positive | None = 60
    """From the start of the process until it is ready."""
    max_model_megabytes: Positive | None = None
    max_memory_megabytes: Positive | None = None
    """Resident, of the whole server, after the load."""
    max_usd_per_1k: Positive | None = None
    """Of predictions one by one: CPU seconds of the server times `cpu_core_hour_usd`."""
    cpu_core_hour_usd: Annotated[float, Field(ge=0)] = 0.04
    max_difference: Annotated[float, Field(ge=0)] = 1e-5
    """Largest difference of a served prediction from the one the candidate was evaluated by."""
    golden_rows: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Rows of the eval split that are asked for, and kept with the answers."""
    clients: Annotated[int, Field(ge=1, le=256)] = 4
    """Each sends its next request when the last is answered."""
    load_secs: Annotated[float, Field(gt=0, le=600)] = 3
    """Of measured load, after half a second that does not count."""
    start_timeout_secs: Positive = 90
