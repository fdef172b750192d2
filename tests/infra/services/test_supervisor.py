"""supervisord must read back what was written, whatever the paths look like."""

from __future__ import annotations

import configparser
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from infra.services import supervisor
from infra.services.configuration import Configuration
from infra.services.programs import Program
from pipelines.errors import SpecError
from pipelines.settings import REPOSITORY, Settings

PROGRAM = Program(
    name="one",
    command=("/bin/echo", 'say "100%"', "back\\slash"),
    folder=Path("/tmp"),
    environment={"SECRET": "hidden"},
)


def _configuration(state: Path) -> Configuration:
    return Configuration.read(Settings(home=REPOSITORY, state=state), environ={})


def _parse(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"))
    parser.read_string(text)
    return parser


def test_commands_survive_quotes_percent_signs_and_backslashes(tmp_path: Path) -> None:
    text = supervisor.render(_configuration(tmp_path), [replace(PROGRAM, launched=False)])
    command = _parse(text)["program:one"]["command"] % {}
    assert tuple(shlex.split(command)) == PROGRAM.command


def test_secrets_are_not_in_the_configuration(tmp_path: Path) -> None:
    assert "hidden" not in supervisor.render(_configuration(tmp_path), [PROGRAM])


def test_a_changed_environment_changes_the_command(tmp_path: Path) -> None:
    texts = {
        supervisor.render(_configuration(tmp_path), [replace(PROGRAM, environment={"SECRET": value})]) for value in "ab"
    }
    assert len(texts) == 2


def test_logs_rotate(tmp_path: Path) -> None:
    section = _parse(supervisor.render(_configuration(tmp_path), [PROGRAM]))["program:one"]
    assert int(section["stdout_logfile_maxbytes"]) > 0
    assert int(section["stdout_logfile_backups"]) > 0


@pytest.mark.parametrize("name", ["a ;comment", "a #comment", 'a "quote"', "two\nlines"])
def test_a_path_supervisord_cannot_read_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="cannot read a path"):
        supervisor.render(_configuration(tmp_path / name), [PROGRAM])
