"""The folder of the Unix sockets: in `<state>`, or a short private one when that path is too long for a socket.

root = socket_root(settings.state)      # pure: the same for the same state folder
make_socket_folders(root, postgres_owner=65534)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from pathlib import Path

from pipelines.errors import ResourceError

MAX_PATH_BYTES = 107
"""`sun_path` of Linux holds 108 bytes, the last of them zero."""
LONGEST_NAME = "supervisor/supervisor.sock.12345678"
"""supervisord binds beside its socket first."""
SHORT_PARENT = Path("/tmp")  # noqa: S108, its ownership is checked
"""Not TMPDIR, which may be long as well."""


def socket_root(state: Path) -> Path:
    inside = state / "sockets"
    if len(os.fsencode(inside / LONGEST_NAME)) <= MAX_PATH_BYTES:
        return inside
    digest = hashlib.sha256(os.fsencode(state)).hexdigest()[:12]
    return SHORT_PARENT / f"daybreak-{os.geteuid()}-{digest}"


def make_socket_folders(root: Path, *, postgres_owner: int | None = None) -> None:
    """Creates the folders, each closed to other users. `postgres_owner` is the user id PostgreSQL runs under.

    Raises `ResourceError` when somebody else made a folder of that name before us.
    """
    root.parent.mkdir(parents=True, exist_ok=True)
    _own_folder(root, mode=0o711 if postgres_owner is not None else 0o700)
    for name in ("supervisor", "worker"):
        _own_folder(root / name, mode=0o700)
    folder = root / "postgres"
    folder.mkdir(mode=0o700, exist_ok=True)
    if postgres_owner is not None:
        os.chown(folder, postgres_owner, -1)


def remove_socket_folders(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)


def _own_folder(folder: Path, *, mode: int) -> None:
    folder.mkdir(mode=mode, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ResourceError(
            f"the socket folder must belong to user {os.geteuid()}. Received: {folder} of user {found.st_uid}",
            fix=f"remove {folder}, or choose another state folder: DAYBREAK_STATE=/short/path",
        )
    folder.chmod(mode)
