"""The engine for a model, by where it is; heavy imports only for what is asked for."""

from __future__ import annotations

from pathlib import Path

from components.compression.litert_paths import MODEL_FILE
from components.serving.engine import Engine, TensorFlowEngine
from components.serving.engines.addresses import Address, is_address


def load_engine(uri: str) -> Engine:
    """Raises `SpecError` when nothing of the kind is there, `TransientError` when a server does not answer."""
    if is_address(uri):
        from components.serving.engines.remote import RemoteEngine

        return RemoteEngine(Address.parse(uri))
    path = Path(uri)
    if (path / MODEL_FILE).exists():
        from components.serving.engines.litert import LitertEngine

        return LitertEngine(path)
    return TensorFlowEngine(path)
