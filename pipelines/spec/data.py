"""What a row is and what becomes of it before a model sees it: `data`."""

from __future__ import annotations

import enum
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipelines.errors import bounded
from pipelines.spec.base import Fraction, Frozen, Name
from pipelines.spec.source import Source


class ColumnType(enum.StrEnum):
    """Types of the raw columns; the plural ones are variable-length lists."""

    INT = "int"
    FLOAT = "float"
    STRING = "string"
    BOOL = "bool"
    INTS = "ints"
    FLOATS = "floats"
    STRINGS = "strings"
    IMAGE = "image"
    """A PNG or JPEG: its bytes, or its path below `data.images.root`."""


class Images(Frozen):
    """How columns of type `image` are read. What breaks a limit goes to quarantine."""

    root: str = ""
    """The folder, or URI, where the paths in such columns start; `${NAME:-default}` is read from the environment.
    Without it the columns hold the images themselves."""
    max_bytes: Annotated[int, Field(ge=1, le=2**26)] = 4 * 2**20
    """Of one image as it is stored."""
    max_pixels: Annotated[int, Field(ge=1, le=2**27)] = 25_000_000
    """Of one image as it is decoded: some kilobytes may hold gigabytes of one colour."""


class Downsample(Frozen):
    """Fewer negatives (label 0) to learn from, each with the weight of those it stands for."""

    keep_negatives: Annotated[float, Field(gt=0, lt=1)]
    """The share that is kept. A smaller one keeps a part of what a larger one keeps."""
    weight: Name = "example_weight"
    """Column of the transformed examples: 1 / `keep_negatives` for a negative, 1 for a positive."""
    splits: tuple[Name, ...] = ("train",)
    """The others, and what the gates evaluate, stay as they are."""


class Data(Frozen):
    source: Source
    columns: dict[str, ColumnType]
    """The raw columns the pipeline reads. Others are dropped and counted."""
    required: tuple[str, ...] = ()
    """Columns in which a missing value sends the row to quarantine, beside the label."""
    label: str
    split_key: str
    """Rows with the same value stay in the same split (a user, a session)."""
    splits: dict[Name, Annotated[int, Field(ge=1)]] = {"train": 4, "eval": 1}
    """Hash buckets per split."""
    downsample: Downsample | None = None
    images: Images = Images()
    max_quarantined: Fraction = 0.01
    """The day is refused when a larger share of its rows breaks the contract."""
    min_rows: Annotated[int, Field(ge=1)] = 100

    @model_validator(mode="after")
    def _columns_exist(self) -> Self:
        named = {"label": [self.label], "split_key": [self.split_key], "required": list(self.required)}
        if self.source.time_column:
            named["source.time_column"] = [self.source.time_column]
        for place, columns in named.items():
            for column in columns:
                if column not in self.columns:
                    raise ValueError(f"`{place}` names the column {column!r}; `columns` has {bounded(self.columns)}")
        if {"train", "eval"} - set(self.splits):
            raise ValueError(f"`splits` needs `train` and `eval`; it has {bounded(self.splits)}")
        return self

    @model_validator(mode="after")
    def _images_fit(self) -> Self:
        images = [name for name, kind in self.columns.items() if kind is ColumnType.IMAGE]
        if named := [name for name in images if name in (self.label, self.split_key, self.source.time_column)]:
            raise ValueError(f"an image is no label, key or time. Received: {bounded(named)} of type image")
        if images and not self.images.root and self.source.format in ("csv", "jsonl"):
            raise ValueError(
                f"`format: {self.source.format}` holds no bytes: `images.root` must say where the paths in "
                f"{bounded(images)} start"
            )
        return self

    @model_validator(mode="after")
    def _downsample_fits(self) -> Self:
        if self.downsample is None:
            return self
        kind = self.columns[self.label]
        if kind not in (ColumnType.INT, ColumnType.BOOL):
            raise ValueError(
                f"`downsample` needs a binary label, of type int or bool; {self.label!r} is {kind}. Remove `downsample`, "
                "or let the source deliver a label of 0 and 1"
            )
        if self.downsample.weight in self.columns:
            raise ValueError(
                f"`downsample.weight` is a new column; {self.downsample.weight!r} is in `columns`. Give it another name"
            )
        if not self.downsample.splits or (unknown := sorted(set(self.downsample.splits) - set(self.splits))):
            raise ValueError(
                f"`downsample.splits` must name some of `splits`: {bounded(self.splits)}. "
                f"Received: {bounded(unknown) if self.downsample.splits else 'none'}"
            )
        return self
