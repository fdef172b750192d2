"""From whatever a node raised to an error with a way out: the user's exception is kept, the place is added."""

from __future__ import annotations

import errno
import importlib.util
import re
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

import grpc
import ml_metadata
import psycopg2

from pipelines import errors
from pipelines.errors import DaybreakError, ResourceError, TransientError, UserCodeError
from pipelines.manifest import Manifest

_NO_SPACE = ("No space left on device", "Disk quota exceeded", "disk is full")
_OUT_OF_MEMORY = ("OOM when allocating", "failed to allocate memory", "std::bad_alloc")
_CONNECTION_ERRORS = (
    ConnectionError,
    psycopg2.OperationalError,
    psycopg2.InterfaceError,
    ml_metadata.errors.AbortedError,
    ml_metadata.errors.UnavailableError,
    ml_metadata.errors.DeadlineExceededError,
)
_CONNECTION_WORDS = ("connection to server", "server closed the connection", "Failed to establish connection", "PQ ")
# Beam and AutoGraph put the traceback of the user's code into the message.
# A Beam worker hands an error on as words: its class, its message, and the step.
_CARRIED = re.compile(
    rf"{re.escape(errors.__name__)}\.(?P<kind>\w+): (?P<message>.+?)(?:\n  Fix: (?P<fix>.+?))?(?: \[while running .*)?$",
    re.MULTILINE,
)
_JAVA_ERROR = re.compile(r"\b(?:org\.apache|java)\.[\w.$]+(?:Exception|Error)\b")
_WORDS = 500
"""Of a cluster, in a message."""
_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def explain(error: BaseException, *, user_code: Sequence[Path], place: str) -> DaybreakError:
    """The first of: an error of ours in the chain, a resource that ran out, the user's code, a lost connection.

    Args:
      user_code: files and folders of the pipeline.
      place: pipeline, node and day.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, DaybreakError):
            link.place = link.place or place
            return link
        if carried := _carried(link, place=place):
            return carried
    words = f"{type(error).__name__}: {_first_line(error)}"
    if any(_is_out_of_resources(link) for link in chain):
        return ResourceError(
            f"disk or memory ran out: {words}",
            fix="free space in the artifact folder, then retry the task",
            place=place,
        )
    if lost := next(filter(None, map(_lost_cluster, chain)), ""):
        return TransientError(
            f"the cluster was lost, or a part of it: {lost}",
            fix="see `daybreak cluster status`, start it with `daybreak cluster up`, then retry",
            place=place,
        )
    # The user's line first: a connection that fails there is shown with that line, and is still worth a retry.
    frame = next((found for link in chain if (found := _user_frame(link, user_code))), None)
    if any(_is_connection(link) for link in chain):
        where = f" at {frame}" if frame else ""
        return TransientError(
            f"a connection failed{where}: {words}", fix="see `daybreak status`, then retry", place=place
        )
    if frame:
        return UserCodeError(f"{frame} raised {words}", fix="correct that line, then clear the task", place=place)
    return DaybreakError(words, fix="the traceback above shows where", place=place)


def user_code(manifest: Manifest, node_id: str) -> list[Path]:
    """Files and folders of the pipeline itself: its folder, and the node's modules outside the platform."""
    modules = {f"pipelines.{manifest.pipeline}"}
    modules |= {name for name in manifest.node(node_id).code if not name.startswith("components.")}
    return [path for module in sorted(modules) for path in _paths(module)]


def _paths(module: str) -> list[Path]:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return [Path(folder) for folder in spec.submodule_search_locations]
    return [Path(spec.origin).parent] if spec.origin else []


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__


def _carried(error: BaseException, *, place: str) -> DaybreakError | None:
    found = _CARRIED.search(str(error))
    kind = getattr(errors, found["kind"], None) if found else None
    if found is None or not (isinstance(kind, type) and issubclass(kind, DaybreakError)):
        return None
    return kind(found["message"], fix=found["fix"] or "", place=place)


def _lost_cluster(error: BaseException) -> str:
    """What the channel to the job server says, or a runner about itself; user code's errors come with a traceback."""
    if isinstance(error, grpc.Call):
        return f"{error.code().name} {error.details() or ''}".strip()[:_WORDS]
    if isinstance(error, grpc.RpcError | grpc.FutureTimeoutError):
        return type(error).__name__
    of_java = isinstance(error, RuntimeError) and _JAVA_ERROR.search(str(error)) and "Traceback" not in str(error)
    return _first_line(error)[:_WORDS] if of_java else ""


def _is_out_of_resources(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM):
        return True
    return any(words in str(error) for words in (*_NO_SPACE, *_OUT_OF_MEMORY))


def _is_connection(error: BaseException) -> bool:
    if isinstance(error, _CONNECTION_ERRORS):
        return True
    if isinstance(error, ml_metadata.errors.StatusError | RuntimeError):
        return any(words in str(error) for words in _CONNECTION_WORDS)
    # MLflow and requests wrap the connection error of urllib3.
    return type(error).__module__.startswith(("requests", "urllib3")) and "onnect" in type(error).__name__


def _user_frame(error: BaseException, user_code: Sequence[Path]) -> str:
    """`file:line` of the innermost frame in the user's code; "" when there is none."""
    frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        frames.append((error.filename, error.lineno))
    frames += [(match["file"], int(match["line"])) for match in _FRAME.finditer(str(error))]
    inside = [f"{file}:{line}" for file, line in frames if _is_inside(file, user_code)]
    return inside[-1] if inside else ""


def _is_inside(file: str, user_code: Sequence[Path]) -> bool:
    path = Path(file)
    return any(path == place or place in path.parents for place in user_code)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    if not lines:
        return "(no message)"
    # A message that carries a traceback ends with the error itself.
    return lines[-1] if any("Traceback" in line or _FRAME.search(line) for line in lines) else lines[0]
