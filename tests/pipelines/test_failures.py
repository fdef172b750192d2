"""What a node raised becomes an exit code, a place and a way out."""

from __future__ import annotations

import errno
from pathlib import Path

import grpc
import pytest

pytest.importorskip("ml_metadata")

from pipelines.errors import DataError, DaybreakError, ResourceError, TransientError, UserCodeError
from pipelines.node.failures import explain

HERE = Path(__file__)


def raised(error: BaseException, *, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def explained(error: BaseException, *, user_code: tuple[Path, ...] = ()) -> DaybreakError:
    return explain(error, user_code=user_code, place="shop/train of 2026-01-05")


def test_our_own_error_in_the_chain_wins() -> None:
    found = explained(raised(RuntimeError("beam says"), cause=DataError("no day", fix="wait")), user_code=(HERE,))
    assert isinstance(found, DataError)
    assert str(found) == "shop/train of 2026-01-05: no day\n  Fix: wait"


@pytest.mark.parametrize("mode", ["in_memory", "multi_threading"])
def test_our_own_error_of_a_beam_worker_arrives_whole(mode: str) -> None:
    import apache_beam as beam

    def refuse(number: int) -> None:
        raise DataError(f"shard {number} is cut", fix="write it again", place="/a/b")

    arguments = ["--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner", f"--direct_running_mode={mode}"]
    with pytest.raises(RuntimeError) as caught, beam.Pipeline(argv=arguments) as pipeline:
        _ = pipeline | beam.Create([4]) | beam.Map(refuse)
    found = explained(caught.value)
    assert type(found) is DataError
    assert str(found) == "shop/train of 2026-01-05: /a/b: shard 4 is cut\n  Fix: write it again"


def test_a_runner_that_lost_a_worker_is_worth_a_retry_and_user_code_on_it_is_not() -> None:
    java = "Pipeline BeamApp failed in state FAILED: org.apache.beam.io.grpc.StatusRuntimeException: CANCELLED: call"
    lost = explained(raised(RuntimeError(java)))
    assert isinstance(lost, TransientError) and "daybreak cluster up" in lost.fix
    assert "CANCELLED: call" in str(lost)
    own = "java.lang.RuntimeException: Error received from SDK harness\nTraceback (most recent call last):\nKeyError: 1"
    assert not explained(raised(RuntimeError(own))).retryable


def test_a_job_server_that_hangs_up_is_worth_a_retry() -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(grpc.RpcError) as caught:
        channel.unary_unary("/a.B/C")(b"", timeout=20)
    found = explained(caught.value)
    assert isinstance(found, TransientError)
    assert "UNAVAILABLE" in str(found)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        MemoryError(),
        RuntimeError("/x/y: No space left on device; while writing"),
    ],
)
def test_full_disk_and_memory_beat_the_users_line(error: BaseException) -> None:
    found = explained(raised(error), user_code=(HERE.parent,))
    assert isinstance(found, ResourceError) and found.retryable


def test_the_users_line_is_named() -> None:
    found = explained(raised(ValueError("bad shape")), user_code=(HERE.parent,))
    assert isinstance(found, UserCodeError) and not found.retryable
    assert f"{HERE}:" in str(found) and "ValueError: bad shape" in str(found)


def test_the_users_line_is_found_in_a_message_that_carries_a_traceback() -> None:
    text = f'Traceback (most recent call last):\n  File "{HERE}", line 7, in f\nKeyError: "price" [while running]'
    found = explained(raised(RuntimeError(text)), user_code=(HERE.parent / "elsewhere", HERE))
    assert f"{HERE}:7" in str(found) or f"{HERE}:" in str(found)
    assert "price" in str(found)


def test_a_syntax_error_names_the_users_file() -> None:
    error = SyntaxError("invalid syntax", (str(HERE.parent / "shop" / "model.py"), 3, 1, "def", 3, 2))
    found = explained(error, user_code=(HERE.parent / "shop",))
    assert isinstance(found, UserCodeError) and "model.py:3" in str(found)


def test_lost_connections_are_worth_a_retry() -> None:
    found = explained(raised(ConnectionResetError("gone")))
    assert isinstance(found, TransientError) and found.retryable


def test_anything_else_is_not_retried() -> None:
    found = explained(raised(AssertionError()))
    assert type(found) is DaybreakError and found.exit_code == 70
    assert "AssertionError: (no message)" in str(found)
