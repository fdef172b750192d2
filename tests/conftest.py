"""What tests of every environment share."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.s3 import Server

_NUMBERS = count()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Server]:
    from tests import s3

    with s3.s3_server() as running:
        yield running


@pytest.fixture
def s3(s3_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, with this process allowed to use it."""
    from pipelines import storage

    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.environ.items():
        monkeypatch.setenv(name, value)
    storage.forget_connections()
    yield s3_server
    storage.forget_connections()


@pytest.fixture
def bucket(s3: Server) -> str:
    """The name of a new, empty bucket."""
    name = f"bucket{next(_NUMBERS)}"
    s3.make_bucket(name)
    return name
