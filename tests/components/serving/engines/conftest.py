from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.components.serving.engines.scripted import Scripted, running


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with running() as server:
        yield server
