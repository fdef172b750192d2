from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tfx.components.util import tfxio_utils

from components.contract.writing import TableFile
from components.examples.records import shards
from components.examples.splitting import split_rows
from pipelines.errors import DataError
from pipelines.spec import Data
from tests.components.examples.making import DATA, FOUR_THREADS, contents, rows_file, rows_of, run, run_again, table


def test_every_row_is_in_one_split_and_users_stay_together(tmp_path: Path) -> None:
    examples = run(tmp_path, table(1000))
    users = {split: rows_of(examples, split).column("user").to_pylist() for split in ("train", "eval")}
    assert len(users["train"]) + len(users["eval"]) == 1000
    assert not {user for [user] in users["train"]} & {user for [user] in users["eval"]}
    assert 0.1 < len(users["eval"]) / 1000 < 0.4
    assert (examples.span, len(shards(Path(examples.uri), "train"))) == (20458, 10)


def test_values_arrive_as_they_were(tmp_path: Path) -> None:
    rows, day = rows_of(run(tmp_path, table(500)), "train"), table(500)
    chosen = day.filter(pa.array(split_rows(day.column("user").combine_chunks(), dict(DATA.splits))["train"]))
    for name in ("price", "count"):
        plain = [None if value is None else [value] for value in chosen.column(name).to_pylist()]
        assert rows.column(name).to_pylist() == plain
    assert rows.column("history").to_pylist() == chosen.column("history").to_pylist()
    assert rows.column("words").to_pylist() == [[word.encode() for word in row] for row in chosen["words"].to_pylist()]


def test_a_day_twice_with_one_worker_and_four_threads_is_the_same_bytes(tmp_path: Path) -> None:
    one, again = run(tmp_path / "one", table(2000)), run(tmp_path / "again", table(2000))
    four = run(tmp_path / "four", table(2000), arguments=FOUR_THREADS)
    assert len(contents(one.uri)) == 40
    assert contents(one.uri) == contents(again.uri) == contents(four.uri)


def test_texts_that_are_encoded_in_the_rows_make_the_same_bytes(tmp_path: Path) -> None:
    for name, encoded in (("encoded", True), ("plain", False)):
        rows_file(tmp_path / name).parent.mkdir(parents=True)
        pq.write_table(table(1000), rows_file(tmp_path / name), row_group_size=100, use_dictionary=encoded)
    sampled = Data.model_validate(DATA.model_dump() | {"downsample": {"keep_negatives": 0.25}})
    encoded, plain = (run_again(tmp_path / name, data=sampled) for name in ("encoded", "plain"))
    assert contents(encoded.uri) == contents(plain.uri)
    assert contents(str(tmp_path / "encoded" / "sample")) == contents(str(tmp_path / "plain" / "sample"))


def test_a_row_group_without_rows_of_a_split_is_no_row_group_of_it(tmp_path: Path) -> None:
    day = table(300).set_column(0, "user", pa.array(["user3"] * 100 + [f"user{row}" for row in range(200)]))
    examples = run(tmp_path, day)
    assert len(shards(Path(examples.uri), "train")) == 3
    assert rows_of(examples, "train").num_rows + rows_of(examples, "eval").num_rows == 300


def test_tfx_reads_the_artifact(tmp_path: Path) -> None:
    examples = run(tmp_path, table(300))
    source = tfxio_utils.get_split_tfxio([examples], "train", telemetry_descriptors=["test"])
    assert source.ArrowSchema().names == list(DATA.columns)


def test_the_split_hash_never_changes() -> None:
    keys = pa.array([*(f"user{number}" for number in range(20)), None, ""])
    found = split_rows(keys, {"train": 4, "eval": 1})
    np.testing.assert_array_equal(np.flatnonzero(found["eval"]), [3, 7, 9, 10, 12, 16, 18])
    np.testing.assert_array_equal(found["train"], ~found["eval"])


def test_an_empty_split_says_what_to_change(tmp_path: Path) -> None:
    same = table(50).set_column(0, "user", pa.array(["one"] * 50))
    with pytest.raises(DataError, match="Fix: give the split more buckets"):
        run(tmp_path, same)


def test_a_day_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the split 'train' has no rows"):
        run(tmp_path, table(0))


@pytest.mark.parametrize("cut", [True, False])
def test_rows_that_were_damaged_name_the_file_and_the_node_to_run_again(tmp_path: Path, cut: bool) -> None:
    path, rows = rows_file(tmp_path), table(500)
    with TableFile(path, rows.schema) as file:
        file.write(rows)
        file.finish()
        file.publish()
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content[:-10] if cut else content)
    message = r"rows-00000-of-00001.parquet: the rows of the contract cannot be read: .*\n  Fix: delete"
    with pytest.raises(Exception, match=message):
        run_again(tmp_path)
    assert not (tmp_path / "examples").exists()
