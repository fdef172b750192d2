from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.services import sockets
from infra.services.sockets import LONGEST_NAME, MAX_PATH_BYTES, make_socket_folders, socket_root
from pipelines.errors import ResourceError


def test_sockets_lie_in_the_state_folder_while_they_fit() -> None:
    longest = Path("/" + "s" * (MAX_PATH_BYTES - len(f"//sockets/{LONGEST_NAME}")))
    assert socket_root(longest) == longest / "sockets"
    assert len(os.fsencode(socket_root(longest) / LONGEST_NAME)) == MAX_PATH_BYTES

    too_long = Path(f"{longest}s")
    assert not socket_root(too_long).is_relative_to(too_long)
    assert len(os.fsencode(socket_root(too_long) / LONGEST_NAME)) <= MAX_PATH_BYTES


def test_bytes_are_counted_not_characters() -> None:
    state = Path("/" + "ü" * 50)
    assert not socket_root(state).is_relative_to(state)


def test_two_state_folders_never_share_a_short_folder() -> None:
    first, second = (socket_root(Path("/" + letter * 200)) for letter in "ab")
    assert first != second


def test_a_folder_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ResourceError, match="must belong to user"):
        make_socket_folders(tmp_path / "root")


def test_folders_are_closed_even_when_they_were_open(tmp_path: Path) -> None:
    (tmp_path / "root" / "worker").mkdir(parents=True, mode=0o777)
    make_socket_folders(tmp_path / "root")
    assert {(tmp_path / "root" / name).stat().st_mode & 0o777 for name in ("", "worker", "supervisor", "postgres")} == {
        0o700
    }


def test_the_longest_name_is_the_longest() -> None:
    assert len(LONGEST_NAME) >= len("postgres/.s.PGSQL.5432.lock")
    assert len(LONGEST_NAME) >= len("worker/worker.sock")
    assert sockets.SHORT_PARENT.is_dir()
