"""The key of an entry: a digest over everything that decides its content."""

from __future__ import annotations

import hashlib
import importlib.metadata

from pipelines.node.stamps import digest_of_module

_LIBRARIES = (
    "duckdb",
    "great-expectations",
    "numpy",
    "pandas",
    "polars",
    "pyarrow",
    "tensorflow",
    "tensorflow-data-validation",
    "tensorflow-transform",
    "tfx-bsl",
)


def key_of(*parts: str | bytes) -> str:
    """Order and boundaries of the parts count."""
    digest = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(content)}:".encode() + content)
    return digest.hexdigest()[:32]


def code_key(*modules: str) -> str:
    """Of the source of modules and packages, and of the libraries whose partial results must not be mixed."""
    libraries = [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    return key_of(*libraries, *(f"{module} {digest_of_module(module)}" for module in modules))
