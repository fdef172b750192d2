from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.examples import records
from components.examples.texts import count_values, decode

TEXTS = pa.large_list(pa.large_binary())
COLUMNS = {
    "text": pa.array([[b"b"], None, [b""], [b"a"], [b"b"], []], TEXTS),
    "texts": pa.array([[b"b", b"\xff"], [], [b"b"], None, [b"z"], [b"b"]], TEXTS),
    "absent": pa.array([None] * 6, TEXTS),
    "number": pa.array([[1], None, [0], [2], [3], []], pa.large_list(pa.int64())),
}


def written(folder: Path, batch: pa.RecordBatch) -> records.RowGroup:
    records.write_shard(batch, folder / "Split-train", index=0, count=1)
    [row_group] = records.row_groups(folder, "train")
    return row_group


@pytest.mark.parametrize("columns", [None, ["texts", "number"]])
def test_what_was_read_encoded_decodes_to_what_is_read(tmp_path: Path, columns: list[str] | None) -> None:
    row_group = written(tmp_path, pa.RecordBatch.from_pydict(COLUMNS))
    encoded = records.read(row_group, columns, encoded=True)
    decode(encoded).validate(full=True)
    assert decode(encoded).equals(records.read(row_group, columns))
    assert pa.types.is_dictionary(encoded.schema.field("texts").type.value_type)


def test_values_are_counted_in_the_order_in_which_they_are_first_seen(tmp_path: Path) -> None:
    batch = records.read(written(tmp_path, pa.RecordBatch.from_pydict(COLUMNS)), encoded=True)
    for texts in (batch.column("texts").flatten(), COLUMNS["texts"].flatten()):
        values, counts = count_values(texts)
        assert values.equals(pa.array([b"b", b"\xff", b"z"], pa.large_binary()))
        assert counts.tolist() == [3, 1, 1]


def test_a_column_too_diverse_for_a_dictionary_page_is_read_encoded_too(tmp_path: Path) -> None:
    numbers = np.random.default_rng(1).integers(0, 20_000, 30_000)
    texts = pa.array([[b"%0100d" % number] for number in numbers], TEXTS)
    row_group = written(tmp_path, pa.RecordBatch.from_pydict({"text": texts}))
    encoded = records.read(row_group, encoded=True)
    assert decode(encoded).column("text").equals(texts)
    assert count_values(encoded.column("text").flatten())[0].equals(count_values(texts.flatten())[0])
