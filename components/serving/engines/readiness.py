"""Whether a model's server can be asked: as its protocol tells.

require_ready(Address.parse("http://shop-7:8501/v1/models/shop"))       # TransientError: not yet
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from components.serving.engine import InputError
from components.serving.engines.addresses import Address
from components.serving.engines.connections import Connections


class _State(Struct):
    state: str


class _Status(Struct):
    model_version_status: list[_State]


def require_ready(address: Address, *, timeout_secs: float = 2.0) -> None:
    connections = Connections(address, timeout_secs=timeout_secs)
    try:
        if address.protocol == "v2":
            connections.get("/ready")
        else:
            _require_available(connections)
    except InputError as error:
        raise connections.failure(str(error)) from error
    finally:
        connections.close()


def _require_available(connections: Connections) -> None:
    content = connections.get("")
    try:
        states = [found.state for found in msgspec.json.decode(content, type=_Status).model_version_status]
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise connections.failure(f"it does not say its state: {error}") from error
    if "AVAILABLE" not in states:
        raise connections.failure(f"no version is AVAILABLE: {', '.join(states)[:100] or 'none'}")
