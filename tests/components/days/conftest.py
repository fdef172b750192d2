from __future__ import annotations

from tests.components.contract.conftest import expect

__all__ = ["expect"]
