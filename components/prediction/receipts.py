"""What became of a piece, in `<output>/_pieces/<name>.json`. Written last: a piece with a receipt is done.

write_receipt(receipt, question)
done = read_receipts(question.output)       # by name of the piece
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from components.prediction.question import Question
from components.prediction.writing import result_place
from pipelines.manifest import write_atomically
from pipelines.spec import Frozen
from pipelines.storage import exists, is_remote, matching, read_bytes, write_bytes

FOLDER = "_pieces"
_AT_ONCE = 16


class Receipt(Frozen):
    name: str
    source: str
    row_group: int | None
    rows: int
    quarantined: int
    reasons: Mapping[str, int]
    """Rows by reason; one row may have several."""
    bytes: int
    """Of the file of predictions."""


def write_receipt(receipt: Receipt, question: Question) -> None:
    write_file(f"{question.output}/{FOLDER}/{receipt.name}.json", receipt.model_dump_json(indent=1).encode())


def write_file(place: str, content: bytes) -> None:
    """Readers see all of it or nothing."""
    if is_remote(place):
        write_bytes(place, content)
    else:
        write_atomically(Path(place), content)


def read_receipts(question: Question) -> dict[str, Receipt]:
    """Of pieces whose predictions are there; an unreadable one is as none."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        files = [str(file) for file in matching(f"{question.output}/{FOLDER}/*.json")]
        found = [receipt for receipt in pool.map(_read, files) if receipt is not None]
        there = pool.map(lambda receipt: exists(result_place(receipt.name, question)), found)
        return {receipt.name: receipt for receipt, ok in zip(found, there, strict=True) if ok}


def _read(place: str) -> Receipt | None:
    content = read_bytes(place) if is_remote(place) else Path(place).read_bytes()
    try:
        return Receipt.model_validate_json(content or b"")
    except ValidationError:
        return None
