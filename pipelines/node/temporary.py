"""Temporary files of one node: below the state folder, and gone with the node.

    with temporary_folder(settings, "shop/train of 2026-01-05"):
        ...                                                        # tempfile, TMPDIR: Beam's, TensorFlow's, the user's

Beam, AutoGraph and TFX leave what they make where TMPDIR points to: hundreds of files a day.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from pipelines.settings import Settings


@contextlib.contextmanager
def temporary_folder(settings: Settings, place: str) -> Iterator[None]:
    """`place` names the node and its day; of them one runs at a time, so what is left of others was killed.

    Raises:
        OSError: the disk is full, or the state folder is closed to this user.
    """
    settings.temporary.mkdir(parents=True, exist_ok=True)
    # Short: a socket in it has a path of at most 107 bytes.
    prefix = hashlib.sha256(place.encode()).hexdigest()[:8] + "-"
    for left in settings.temporary.glob(f"{prefix}*"):
        shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=settings.temporary))
    before = os.environ.get("TMPDIR"), tempfile.tempdir
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        _restore(*before)
        shutil.rmtree(folder, ignore_errors=True)


def _restore(variable: str | None, folder: str | None) -> None:
    tempfile.tempdir = folder
    if variable is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = variable
