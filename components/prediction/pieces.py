"""The work, piece by piece: a row group of a Parquet file, or another file as a whole. A piece is a file of the output.

pieces = list_pieces(files, question)
pieces[0].name          # "clicks-00003-1f2e3d4c5b6a": equal for equal rows, model and question, so that it is done once
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from components.contract.raw import readable, require_content
from components.contract.source import content_of
from components.prediction.question import Question
from pipelines.storage import File, RemoteFile, is_remote, readable_by_arrow

_FILES_AT_ONCE = 8


class Piece(NamedTuple):
    path: str
    row_group: int | None
    """None: the whole file."""
    name: str

    @property
    def file(self) -> File:
        return RemoteFile(self.path) if is_remote(self.path) else Path(self.path)


def list_pieces(files: Sequence[File], question: Question) -> list[Piece]:
    """In input order; none of a Parquet file without rows."""
    with ThreadPoolExecutor(_FILES_AT_ONCE) as pool:
        return [piece for pieces in pool.map(partial(_pieces_of, question=question), files) for piece in pieces]


def _pieces_of(file: File, *, question: Question) -> list[Piece]:
    groups = _row_groups(file) if question.data.source.format == "parquet" else [None]
    content = content_of(file) if groups else ""
    return [Piece(str(file), group, _name(file, group, content, question)) for group in groups]


def _row_groups(file: File) -> list[int | None]:
    with readable(file, format="parquet"):
        require_content(file)
        metadata = pq.read_metadata(readable_by_arrow(file))
    return [number for number in range(metadata.num_row_groups) if metadata.row_group(number).num_rows]


def _name(file: File, group: int | None, content: str, question: Question) -> str:
    columns = sorted(question.data.columns.items())
    asked = [question.digest, question.version, question.keep, question.output_format, columns]
    key = hashlib.sha256(json.dumps([str(file), content, group, asked]).encode()).hexdigest()[:12]
    stem = re.sub(r"[^A-Za-z0-9-]+", "-", file.name.split(".")[0]).strip("-")[:60] or "file"
    return f"{stem}-{group or 0:05d}-{key}"
