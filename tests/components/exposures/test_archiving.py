"""A damaged journal costs its damaged frames; archiving that is interrupted is done again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from components.exposures import archiving
from components.exposures.archiving import archive, to_arrow
from components.exposures.journal import EXPOSURES, JOURNALS, Journal, read_batches, seal
from components.exposures.records import Exposure, Outcome
from components.exposures.schema import EXPOSURES as EXPOSURE_COLUMNS
from components.exposures.schema import OUTCOMES as OUTCOME_COLUMNS
from tests.components.exposures.conftest import exposure, ids


def journal(log: Path, frames: int = 10, *, gateway: str = "g") -> Path:
    """Of ten exposures a frame, left behind by a gateway that was killed."""
    folder = log / JOURNALS / gateway
    folder.mkdir(parents=True, exist_ok=True)
    one = Journal.create(folder, EXPOSURES)
    for frame in range(frames):
        one.append([exposure(10 * frame + number) for number in range(10)])
    one.abandon()
    return one.path


def test_records_have_the_columns_of_the_schema() -> None:
    assert list(Exposure.__struct_fields__) == EXPOSURE_COLUMNS.names
    assert list(Outcome.__struct_fields__) == OUTCOME_COLUMNS.names


@pytest.mark.parametrize("cut", [1, 5, 11, 12, 13, 200])
def test_a_torn_tail_costs_its_frame(cut: int, tmp_path: Path) -> None:
    path = journal(tmp_path)
    frame = path.stat().st_size // 10
    path.write_bytes(path.read_bytes()[: -min(cut, frame - 1)])

    assert archive(tmp_path) == 90
    assert ids(tmp_path, "exposures") == [f"d{number}" for number in range(90)]


@pytest.mark.parametrize("garbage", [b"\0" * 500, b"\xd5DBJ\xff\xff\xff\x7f1234", b"\xd5DBJ" * 9], ids=len)
def test_garbage_behind_the_last_frame_is_dropped(garbage: bytes, tmp_path: Path) -> None:
    path = journal(tmp_path)
    path.write_bytes(path.read_bytes() + garbage)

    assert archive(tmp_path) == 100


def test_a_flipped_bit_costs_its_frame_and_none_behind_it(tmp_path: Path) -> None:
    path = journal(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    assert archive(tmp_path) == 90
    assert {"d0", "d99"} <= set(ids(tmp_path, "exposures"))


def test_an_interrupted_archiver_leaves_no_file_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal(tmp_path)

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(archiving, "sync", full)
        with pytest.raises(OSError, match="No space"):
            archive(tmp_path)
    assert not list(tmp_path.glob("exposures/*/*"))
    assert not list(tmp_path.glob("exposures/*/.*"))

    assert archive(tmp_path) == 100


def test_archived_twice_gives_the_same_file(tmp_path: Path) -> None:
    path = journal(tmp_path)
    content = path.read_bytes()
    archive(tmp_path)
    found = next(tmp_path.glob("exposures/*/*.parquet"))
    first = found.read_bytes()

    path.write_bytes(content)  # the machine lost power before the journal was gone
    archive(tmp_path)

    assert [one.read_bytes() for one in tmp_path.glob("exposures/*/*.parquet")] == [first]


def test_many_row_groups_and_an_empty_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "ROW_GROUP", 25)
    journal(tmp_path)
    journal(tmp_path, 0, gateway="other")

    assert archive(tmp_path) == 100
    assert len(ids(tmp_path, "exposures")) == 100


def test_a_wrong_type_costs_its_record(tmp_path: Path) -> None:
    folder = tmp_path / JOURNALS / "g"
    folder.mkdir(parents=True)
    one = Journal.create(folder, EXPOSURES)
    one.append([exposure(0), exposure(1, context=7), exposure(2)])  # type: ignore[arg-type]
    one.abandon()
    seal(one.path)
    sealed = next(folder.iterdir())

    assert [([record.decision_id for record in found], bad) for found, bad in read_batches(sealed, Exposure)] == [
        (["d0", "d2"], 1)
    ]


def test_a_write_that_fails_in_the_middle_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = Journal.create(tmp_path, EXPOSURES)
    one.append([exposure(0)])
    size, write = one.path.stat().st_size, os.write

    def torn(descriptor: int, data: memoryview) -> int:
        if len(data) < 50:
            raise OSError(28, "No space left on device")
        return write(descriptor, data[:-10])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", torn)
        with pytest.raises(OSError, match="No space"):
            one.append([exposure(1)])
    assert one.path.stat().st_size == size
    one.append([exposure(2)])
    one.abandon()

    assert [record.decision_id for found, _ in read_batches(one.path, Exposure) for record in found] == ["d0", "d2"]


def test_no_rows_make_an_empty_batch() -> None:
    assert to_arrow([], EXPOSURE_COLUMNS).num_rows == 0
