"""Columns of images: as bytes and as paths, the broken ones by row."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

from components.contract import reading
from pipelines.errors import DataError, SpecError
from tests.components.contract.running import Result, data, run, write_parquet

COLUMNS = {"user": "string", "photo": "image", "clicked": "int"}


def encoded(colour: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    pixels = np.full((12, 9, 4 if mode == "CMYK" else 3), colour, np.uint8)
    target = io.BytesIO()
    Image.fromarray(pixels, mode).save(target, kind)
    return target.getvalue()


def bomb() -> bytes:
    """A PNG of 60,000 x 60,000 pixels in its header, and hardly a byte."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


GOOD = [encoded(row, "PNG" if row % 2 else "JPEG") for row in range(40)]
BAD = {
    30: (encoded(5, "JPEG")[:-60], "photo: not of type image"),
    31: (encoded(5)[:-30], "photo: not of type image"),
    32: (encoded(5, "BMP"), "photo: not of type image"),
    33: (b"", "photo: not of type image"),
    34: (bomb(), "photo: more than 25,000,000 pixels"),
    35: (encoded(5) + b"x" * 5000, "photo: larger than 4,000 bytes"),
}
"""By row: what is wrong with it."""


def day_of(photos: list[Any], kind: pa.DataType) -> pa.Table:
    rows = len(photos)
    users = [f"u{row}" for row in range(rows)]
    return pa.table({"user": users, "photo": pa.array(photos, kind), "clicked": [row % 2 for row in range(rows)]})


def spec(folder: Path, *, source: dict[str, str] | None = None, **images: Any) -> dict[str, Any]:
    limits = {"max_bytes": 4_000} | images
    return data(folder, columns=COLUMNS, required=["photo"], images=limits, max_quarantined=0.5, source=source or {})


def reasons(result: Result) -> dict[str, str]:
    rows = [json.loads(row["_line"]) | row if row["_line"] else row for row in result.quarantine]
    return {str(row["user"]): str(row["_reasons"]) for row in rows}


@pytest.fixture(autouse=True)
def no_expectations(expect: Callable[[str], None]) -> None:
    expect("def expectations():\n    return []\n")


@pytest.fixture
def photos() -> list[bytes | None]:
    return [BAD[row][0] if row in BAD else None if row == 36 else content for row, content in enumerate(GOOD)]


def expected() -> dict[str, str]:
    return {f"u{row}": why for row, (_, why) in BAD.items()} | {"u36": "photo: missing"}


def test_bytes_stay_as_they_are_and_broken_ones_go_to_quarantine(
    tmp_path: Path, photos: list[bytes | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "IMAGE_BATCH_ROWS", 16)
    write_parquet(tmp_path, day_of(photos, pa.binary()))
    result = run(tmp_path / "out", spec(tmp_path))
    assert reasons(result) == expected()
    assert result.rows["photo"].to_pylist() == [x for row, x in enumerate(GOOD) if row not in (*BAD, 36)]
    groups = pq.read_metadata(result.rows_file)
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [16, 16, 1]
    [large] = [row["photo"] for row in result.quarantine if row["user"] == "u35"]
    assert large is not None and len(large) < 20_000


@pytest.mark.parametrize("kind", ["parquet", "csv", "jsonl"])
def test_paths_below_a_root_are_read(tmp_path: Path, photos: list[bytes | None], kind: str) -> None:
    root = tmp_path / "photos"
    (root / "a").mkdir(parents=True)
    paths: list[str | None] = []
    for row, content in enumerate(photos):
        paths.append(None if content is None else f"a/{row}.img")
        if content is not None:
            (root / f"a/{row}.img").write_bytes(content)
    outside = tmp_path / "secret.png"
    outside.write_bytes(GOOD[1])
    wrong = ["a/none.png", "../secret.png", str(outside), "a"]
    paths[:4] = wrong
    table = day_of(paths, pa.string())
    source = {"format": kind, "path": f"{tmp_path}/day={{day}}/*.{kind}"}
    write(table, tmp_path / "day=2026-01-05" / f"a.{kind}")
    result = run(tmp_path / "out", spec(tmp_path, root=str(root), source=source))
    assert reasons(result) == expected() | {f"u{row}": "photo: no file at this path below the root" for row in range(4)}
    assert result.rows["photo"].to_pylist() == [x for row, x in enumerate(GOOD) if row > 3 and row not in (*BAD, 36)]


def write(table: pa.Table, path: Path) -> None:
    path.parent.mkdir()
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        table.to_pandas().to_csv(path, index=False)
    else:
        table.to_pandas().to_json(path, orient="records", lines=True)


def test_a_column_of_other_things_is_an_error_of_the_day(tmp_path: Path) -> None:
    write_parquet(tmp_path, day_of([b"no image %d" % row for row in range(40)], pa.binary()))
    with pytest.raises(DataError, match="column 'photo' must be of type image: 40 of 40 values are not"):
        run(tmp_path / "out", spec(tmp_path))
    write_parquet(tmp_path, day_of(["a.png"] * 40, pa.string()))
    with pytest.raises(DataError, match="must hold images. Received: string") as caught:
        run(tmp_path / "text", spec(tmp_path))
    assert "data.images.root" in caught.value.fix
    write_parquet(tmp_path, day_of([7] * 40, pa.int64()))
    with pytest.raises(DataError, match="'photo' is int64, declared image"):
        run(tmp_path / "numbers", spec(tmp_path))


def test_a_root_that_is_no_file_system(tmp_path: Path) -> None:
    write_parquet(tmp_path, day_of(["a.png"] * 40, pa.string()))
    with pytest.raises(SpecError, match="must be a folder or a URI"):
        run(tmp_path / "out", spec(tmp_path, root="nothing://here"))


def test_every_image_that_passes_is_decoded_by_tensorflow() -> None:
    """Also where the two decoders may differ."""
    for content in (encoded(1, "JPEG", "CMYK"), encoded(1)):
        assert tf.io.decode_image(content, expand_animations=False).shape[:2] == (12, 9)
