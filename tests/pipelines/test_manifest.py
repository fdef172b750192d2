from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import SpecError
from pipelines.manifest import Manifest, Node, read_manifest, write_atomically, write_manifest


def manifest(*nodes: Node) -> Manifest:
    return Manifest(pipeline="toy", ir="toy.ir.json", ir_digest="0", nodes=nodes)


def test_round_trip_is_byte_stable(tmp_path: Path) -> None:
    original = manifest(Node(id="a", stage="data"), Node(id="b", stage="data", upstream=("a",)))
    write_manifest(original, tmp_path / "one.json")
    write_manifest(read_manifest(tmp_path / "one.json"), tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    assert read_manifest(tmp_path / "two.json") == original


def test_upstream_must_come_first() -> None:
    with pytest.raises(ValueError, match="comes before its upstream b"):
        manifest(Node(id="a", stage="data", upstream=("b",)), Node(id="b", stage="data"))


def test_nodes_are_unique() -> None:
    with pytest.raises(ValueError, match="appears twice"):
        manifest(Node(id="a", stage="data"), Node(id="a", stage="data"))


def test_unknown_node_lists_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"one of a\. Received: node='b'"):
        manifest(Node(id="a", stage="data")).node("b")


@pytest.mark.parametrize("text", ["", "{}", '{"version": 99, "pipeline": "toy"}', "[1]"])
def test_what_is_no_manifest_says_compile(tmp_path: Path, text: str) -> None:
    (tmp_path / "toy.json").write_text(text)
    with pytest.raises(SpecError, match="daybreak compile toy"):
        read_manifest(tmp_path / "toy.json")


def test_missing_manifest_says_compile(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="daybreak compile toy"):
        read_manifest(tmp_path / "toy.json")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old", mode=0o600)
    with pytest.raises(TypeError):
        write_atomically(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [item.name for item in tmp_path.iterdir()] == ["file"]
