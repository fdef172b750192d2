"""Columns of images: every one is looked at, by the decoder that training and serving use.

    reader = ImageReader(data.images)
    typed = reader.read(column, name="photo", place=path)     # bytes as they are stored, null where one is wrong

One image that cannot be decoded would end the transform of a whole batch.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs

from components.contract.values import Typed, mistyped_reason
from pipelines.errors import DataError, SpecError
from pipelines.settings import Settings
from pipelines.spec import ColumnType, Images

_FORMATS = ("PNG", "JPEG")
"""What TensorFlow decodes, without animations."""

Found = tuple[bytes | None, str]
"""The image, or why there is none."""


class ImageReader:
    """Of one day.

    Raises:
        SpecError: `root` is no folder and no URI of a file system.
    """

    def __init__(self, images: Images) -> None:
        self._images = images
        self._files = _files(images) if images.root else None

    def read(self, column: pa.ChunkedArray, *, name: str, place: str) -> Typed:
        """Raises `DataError` when the column holds text and no root is declared."""
        if self._files is None and not _is_binary(column.type):
            raise DataError(
                f"column {name!r} must hold images. Received: {column.type}",
                fix="set `data.images.root` if it holds their paths, or write their bytes",
                place=place,
            )
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(lambda value: self._image(value, name), column.to_pylist()))
        return Typed(
            pa.array([content for content, _ in found], pa.large_binary()),
            {reason: np.array([why == reason for _, why in found], bool) for reason in self._reasons(name)},
        )

    def _reasons(self, name: str) -> Sequence[str]:
        return [
            *([f"{name}: no file at this path below the root"] if self._files else []),
            f"{name}: larger than {self._images.max_bytes:,} bytes",
            f"{name}: more than {self._images.max_pixels:,} pixels",
            mistyped_reason(name, ColumnType.IMAGE),
        ]

    def _image(self, value: bytes | str | None, name: str) -> Found:
        if value is None:
            return None, ""
        *no_file, too_large, too_many, broken = self._reasons(name)
        content = value if self._files is None else self._files(value)
        if content is None:
            return None, no_file[0]
        if len(content) > self._images.max_bytes:
            return None, too_large
        assert isinstance(content, bytes)  # text without a root was refused
        pixels = _pixels(content)
        if pixels is None or (pixels <= self._images.max_pixels and not _decodes(content)):
            return None, broken
        return (content, "") if pixels <= self._images.max_pixels else (None, too_many)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind))


def _files(images: Images) -> Callable[[bytes | str], bytes | None]:
    """Reads a path below the root: one byte more than allowed, at most."""
    settings = Settings.from_environment()
    root = settings.expand(images.root)
    try:
        system, folder = pafs.FileSystem.from_uri(root if "://" in root else str(settings.home / root))
    except (pa.ArrowException, OSError) as error:
        raise SpecError(
            f"`data.images.root` must be a folder or a URI such as s3://bucket/folder. Received: {root}: {str(error)[:200]}",
            fix="correct it in pipeline.yaml, or the environment variable it names",
        ) from error

    def read(path: bytes | str) -> bytes | None:
        below = PurePosixPath(path.decode(errors="replace") if isinstance(path, bytes) else path)
        if below.is_absolute() or ".." in below.parts or not below.parts or "\0" in str(below):
            return None
        try:
            with system.open_input_stream(f"{folder}/{below}") as file:
                content: bytes = file.read(images.max_bytes + 1)
                return content
        except OSError:
            if system.get_file_info(f"{folder}/{below}").type is pafs.FileType.File:
                raise  # a broken disk is not a broken row
            return None

    return read


def _pixels(content: bytes) -> int | None:
    """By the header; None where it is that of another format."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            return int(image.width * image.height)
    except Image.DecompressionBombError:
        return 2**62
    except (OSError, ValueError, SyntaxError):
        return None


def _decodes(content: bytes) -> bool:
    import tensorflow as tf  # seconds in a cold process

    try:
        tf.io.decode_image(content, expand_animations=False)
    except tf.errors.InvalidArgumentError:
        return False
    return True
