"""The command line of the node runner. Arguments are checked before anything heavy is imported."""

from __future__ import annotations

import argparse
import ctypes
import datetime
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.errors import DaybreakError, SpecError
from pipelines.manifest import Manifest, read_manifest
from pipelines.override import Override, current_user
from pipelines.settings import Settings
from pipelines.spec import ClusterKind
from pipelines.worker_client import PARENT_VARIABLE

PR_SET_PDEATHSIG = 1
_OF_COMPONENTS = {"rollout": "components.rollout.__main__", "predict": "components.prediction.__main__"}


def main(argv: Sequence[str]) -> int:
    """Runs one command and returns its exit code; errors are printed, not raised."""
    settings = Settings.from_environment()
    if argv and argv[0] in _OF_COMPONENTS:
        return _of_component(_OF_COMPONENTS[argv[0]], argv[1:], settings)
    arguments = _parser().parse_args(argv)
    try:
        manifest_path = arguments.manifest.resolve()
        manifest = read_manifest(manifest_path)
        _enter(settings)
        code: int = arguments.command(arguments, manifest, manifest_path, settings)
    except DaybreakError as error:
        print(f"daybreak: {error}", file=sys.stderr)
        return error.exit_code
    return code


def _of_component(module: str, argv: Sequence[str], settings: Settings) -> int:
    """A component's own command, where a warm worker can run it."""
    _enter(settings)
    code: int = importlib.import_module(module).main(argv)
    return code


def die_with_parent() -> None:
    """A cold node ends, cleanly, when the process that started it is killed."""
    parent = os.environ.pop(PARENT_VARIABLE, None)
    if parent is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):
        os._exit(128 + signal.SIGTERM)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines.node")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run one node")
    run.add_argument("--node", required=True)
    run.set_defaults(command=_run)
    run_all = commands.add_parser("run-all", help="run all nodes in order, then conclude")
    run_all.set_defaults(command=_run_all)
    for command in (run, run_all):
        command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a runtime parameter")
        command.add_argument("--skip-cache", action="store_true", help="execute although the cache has the answer")
        command.add_argument(
            "--cluster", choices=[kind.value for kind in ClusterKind], default="", help="instead of the spec's"
        )
        command.add_argument("--force", action="store_true", help="go on although a gate refuses; needs --reason")
        command.add_argument("--reason", default="", help="why the run is forced")
        command.add_argument("--user", default="", help="who forces it, instead of DAYBREAK_USER or the login name")
        command.add_argument("--verbose", action="store_true", help="show TFX's own log")

    conclude = commands.add_parser("conclude", help="write the decision record of a run that ended")
    conclude.add_argument("--reason", default="", help="why the run ended, when it did not end by itself")
    conclude.set_defaults(command=_conclude)
    for command in (run, run_all, conclude):
        command.add_argument("--manifest", type=Path, required=True)
        command.add_argument("--run-id", required=True)
        command.add_argument("--day", type=data_day, required=True, metavar="YYYY-MM-DD")
    return parser


def data_day(text: str) -> str:
    """For argparse: the day of `--day`."""
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a date such as 2026-01-05. Received: {text!r}") from None


def _enter(settings: Settings) -> None:
    """The working folder and import path every node has, warm or cold."""
    os.chdir(settings.home)
    if str(settings.home) not in sys.path:
        sys.path.insert(0, str(settings.home))
    sys.argv = sys.argv[:1]  # Beam and TFX's executor operators read it as flags of their own
    quiet_native_logs()


def quiet_native_logs() -> None:
    """Before the imports: no notes about CPU flags, and none for every connection to ML Metadata, in a task's log."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GLOG_minloglevel", "1")


def _run(arguments: argparse.Namespace, manifest: Manifest, path: Path, settings: Settings) -> int:
    manifest.node(arguments.node)
    override = _override(arguments)
    from pipelines.node.attempt import Attempt, run_attempt

    attempt = Attempt(
        manifest=manifest,
        folder=path.parent,
        node=arguments.node,
        run_id=arguments.run_id,
        day=arguments.day,
        given=_assignments(arguments.set),
        skip_cache=arguments.skip_cache,
        cluster=arguments.cluster,
        override=override,
        verbose=arguments.verbose,
    )
    return run_attempt(attempt, settings)


def _override(arguments: argparse.Namespace) -> Override | None:
    """Raises `SpecError` for force without a reason, and for a reason without force."""
    if arguments.force:
        return Override.of(user=arguments.user or current_user(), reason=arguments.reason)
    if arguments.reason:
        raise SpecError(
            f"`--reason` says why a run is forced. Received: --reason {arguments.reason!r} without --force",
            fix="add --force, or leave --reason out",
        )
    return None


def _conclude(arguments: argparse.Namespace, manifest: Manifest, path: Path, settings: Settings) -> int:
    del path
    from components.decision.conclude import conclude

    return conclude(manifest, settings, run_id=arguments.run_id, day=arguments.day, reason=arguments.reason)


def _run_all(arguments: argparse.Namespace, manifest: Manifest, path: Path, settings: Settings) -> int:
    _override(arguments)
    from pipelines.node import attempt  # noqa: F401  # the heavy imports, once for all the forks

    why = ""
    code = 0
    for node in manifest.nodes:
        arguments.node = node.id
        code = _fork(lambda: _run(arguments, manifest, path, settings))
        if code:
            why = f"node {node.id} ended with exit code {code}"
            break
    arguments.reason = why
    concluded = _fork(lambda: _conclude(arguments, manifest, path, settings))
    return code or concluded


def _fork(work: Callable[[], int]) -> int:
    """Runs `work` in a child, so that its memory is given back, and passes signals on."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os._exit(_work_in_child(work))
    handlers = {
        number: signal.signal(number, lambda received, _: os.kill(child, received))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        _, status = os.waitpid(child, 0)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _work_in_child(work: Callable[[], int]) -> int:
    try:
        return work()
    except DaybreakError as error:
        print(f"daybreak: {error}", file=sys.stderr)
        return error.exit_code
    except BaseException:  # noqa: BLE001  # nothing may unwind into the parent's frames
        traceback.print_exc()
        return DaybreakError.exit_code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _assignments(pairs: Sequence[str]) -> dict[str, str]:
    given = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SpecError(
                f"`--set` takes NAME=VALUE. Received: --set {pair}", fix="for example --set rows_limit=1000"
            )
        if name == "force":
            raise SpecError(
                f"forcing a run needs a reason. Received: --set {pair}", fix="run with --force --reason TEXT"
            )
        given[name] = value
    return given
