"""Parts of the cache key that TFX does not know: the source of the code that decides what a node makes, and whatever
the manifest's stamp functions compute (fingerprints of raw files, the champion's version).
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.errors import SpecError
from pipelines.manifest import Manifest, Node

DIGEST_LENGTH = 12


def compute_stamps(manifest: Manifest, node: Node, parameters: Mapping[str, str | int | float]) -> dict[str, str]:
    """`code`, one line per module so that a miss can say which one changed, and one stamp per stamp function."""
    stamps = {}
    if node.code:
        stamps["code"] = "\n".join(f"{module} {digest_of_module(module)}" for module in sorted(node.code))
    for name, path in node.stamps.items():
        stamps[name] = str(_function(path, node.id)(manifest, parameters))
    return stamps


def digest_of_module(module: str) -> str:
    """Digest of the source files of a module or package, and of the modules beside it that it imports.

    `pipelines.shop.features` brings `pipelines.shop.text` in when it imports it; of a package every file counts.
    """
    digest = hashlib.sha256()
    for name, path in sorted(_sources(module).items()):
        digest.update(f"{name}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()[:DIGEST_LENGTH]


def source_files(module: str) -> list[Path]:
    """Files whose change is a change of `module`."""
    return sorted(_sources(module).values())


def _sources(module: str) -> dict[str, Path]:
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise SpecError(
            f"the code of a node must be importable. Received: {module!r}",
            fix="correct the module name, or compile the pipeline again",
        )
    if spec.submodule_search_locations:
        folders = [Path(folder) for folder in spec.submodule_search_locations]
        return {
            f"{module}/{path.relative_to(folder)}": path for folder in folders for path in sorted(folder.rglob("*.py"))
        }
    if spec.origin is None or not spec.origin.endswith(".py"):
        return {}
    return dict(_with_siblings(module, Path(spec.origin), seen=set()))


def _with_siblings(module: str, path: Path, *, seen: set[str]) -> Iterator[tuple[str, Path]]:
    if module in seen:
        return
    seen.add(module)
    yield module, path
    package = module.rpartition(".")[0]
    for name in _imported(path, package):
        sibling = path.parent / f"{name}.py"
        if sibling.exists():
            yield from _with_siblings(f"{package}.{name}", sibling, seen=seen)


def _imported(path: Path, package: str) -> set[str]:
    """Names right below `package` that the file imports, absolutely or relatively."""
    names = set()
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:  # running the module will say so, with the line
        return set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level <= 1:
            base = node.module or ""
            if node.level == 1:
                base = f"{package}.{base}".rstrip(".")
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    prefix = f"{package}."
    return {name.removeprefix(prefix).split(".")[0] for name in names if name.startswith(prefix)}


def _function(path: str, node: str):  # type: ignore[no-untyped-def]  # a user's function
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise SpecError(
            f"a stamp must be `module:function`. Received: {path!r} ({error})",
            fix="correct it where the pipeline is assembled, then compile again",
            place=node,
        ) from error
