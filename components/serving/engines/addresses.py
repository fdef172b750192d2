"""The address of a model on another server.

address = Address.parse("http://shop-7:8501/v1/models/shop/versions/7")
address.protocol, address.path              # "v1", "/v1/models/shop/versions/7"
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pipelines.errors import SpecError

_PATH = re.compile(r"(?:/[^/:]+)*?/(v1|v2)/models/[^/:]+(?:/versions/[^/:]+)?/?")


@dataclass(frozen=True)
class Address:
    host: str
    port: int
    secure: bool
    path: str
    """Of the model, from the root of the server."""
    protocol: Literal["v1", "v2"]
    """TensorFlow Serving's REST interface, the Open Inference Protocol V2."""

    @classmethod
    def parse(cls, uri: str) -> Address:
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        found = _PATH.fullmatch(parts.path) if host else None
        if not host or not found or parts.query or parts.fragment or parts.username or not is_address(uri):
            raise SpecError(
                "a model on another server is http(s)://HOST:PORT/v1/models/NAME[/versions/V] (TensorFlow Serving) or "
                f"…/v2/models/NAME[/versions/V] (Open Inference Protocol). Received: {uri[:200]}",
                fix="correct the address",
            )
        secure = parts.scheme == "https"
        protocol: Literal["v1", "v2"] = "v1" if found[1] == "v1" else "v2"
        return cls(host, port or (443 if secure else 80), secure, parts.path.rstrip("/"), protocol)

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.host}:{self.port}{self.path}"


def is_address(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))
