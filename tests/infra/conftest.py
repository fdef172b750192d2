from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.infra.installation import Installation, reachable_folder


@pytest.fixture
def installation() -> Iterator[Installation]:
    """PostgreSQL only; ended after the test whatever happened."""
    folder = reachable_folder()
    made = Installation.in_folder(folder / "state")
    try:
        yield made
    finally:
        made.down()
        shutil.rmtree(folder, ignore_errors=True)
