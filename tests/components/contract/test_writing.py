from __future__ import annotations

import errno
import resource
from pathlib import Path

import pytest

from tests.components.contract.running import data, rows, run, write_parquet


def test_a_disk_that_runs_full_leaves_no_part_of_a_file(tmp_path: Path) -> None:
    """The limit of the file size ends a write in its middle, as a full disk does."""
    write_parquet(tmp_path, rows(20_000))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        with pytest.raises(OSError) as raised:
            run(tmp_path / "out", data(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert raised.value.errno == errno.EFBIG
    assert [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()] == []
    assert run(tmp_path / "again", data(tmp_path)).rows.num_rows == 20_000
