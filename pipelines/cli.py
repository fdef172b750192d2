"""The command line, `daybreak`: local services, and a thin door to the ML environment.

    daybreak up                              # PostgreSQL, Airflow, MLflow, warm worker
    daybreak check shop && daybreak compile shop
    daybreak run shop --day 2026-01-05       # the whole retrain in one process, without Airflow
    daybreak explain shop --day 2026-01-05   # what was decided, and why
    daybreak champion shop                   # who is champion, since when and why
    daybreak down

Commands that need TensorFlow become that command in `.venvs/ml`; this process only finds it.
"""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from pipelines import promotion, rollouts
from pipelines.costs import costs
from pipelines.errors import DaybreakError, ResourceError, SpecError
from pipelines.ml_environment import become_ml
from pipelines.override import Override, current_user
from pipelines.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, help=__doc__)
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

cluster = typer.Typer(
    no_args_is_help=True, help="A real Flink or Spark cluster on this machine, for `cluster: flink` or `spark`."
)
app.add_typer(cluster, name="cluster")
app.add_typer(rollouts.app, name="rollout")
for _command in (promotion.champion, promotion.rollback, promotion.promote, promotion.explain, costs, rollouts.serve):
    app.command()(_command)
Kind = Annotated[Literal["flink", "spark"], typer.Argument(help="flink or spark")]

Without = Annotated[list[str] | None, typer.Option(help="Leave out airflow, mlflow or worker; may be repeated.")]
AirflowPort = Annotated[int | None, typer.Option(help="Default: DAYBREAK_AIRFLOW_PORT, the last one used, or 8080.")]
MLflowPort = Annotated[int | None, typer.Option(help="Default: DAYBREAK_MLFLOW_PORT, the last one used, or 5000.")]


@app.command()
def up(
    without: Without = None,
    airflow_port: AirflowPort = None,
    mlflow_port: MLflowPort = None,
) -> None:
    """Start the local services and wait until they are healthy; starts again what died."""
    from infra.services.configuration import Configuration
    from infra.services.lifecycle import bring_up
    from infra.services.overview import addresses
    from infra.services.supervisor import Supervisor

    configuration = Configuration.read(
        Settings.from_environment(), airflow_port=airflow_port, mlflow_port=mlflow_port, without=without or ()
    )
    services, created = bring_up(configuration, report=_print)
    promotion.migrate_ledger(Settings.from_environment())
    running = Supervisor(configuration).processes()
    for line in addresses(configuration, services, running=running, show_password=created):
        _print(line)


@app.command()
def down() -> None:
    """Stop the local services; nothing is left running, data and credentials stay."""
    from infra.services.configuration import Configuration
    from infra.services.lifecycle import bring_down

    bring_down(Configuration.of_last_up(Settings.from_environment()), report=_print)


@app.command()
def status() -> None:
    """Ask every service whether it works. Exit code 75 when one does not, or none runs."""
    from infra.services.configuration import Configuration
    from infra.services.credentials import read_services
    from infra.services.overview import addresses, rows, table

    configuration = Configuration.of_last_up(Settings.from_environment())
    services = read_services(configuration.settings)
    found = rows(configuration, services)
    if not found:
        raise ResourceError("no services are running", fix="run `daybreak up`")
    console = Console()
    if not console.is_terminal:
        console.width = 200  # a pipe has no width to keep to
    console.print(table(found))
    running = [row.name for row in found]
    for line in addresses(configuration, services, running=running, show_password=False):
        _print(line)
    if not all(row.ok for row in found):
        raise typer.Exit(75)


@app.command()
def restart(
    name: Annotated[str, typer.Argument(help="A service as `daybreak status` names it, or `airflow` for its four.")],
) -> None:
    """Restart one service and wait until it is healthy."""
    from infra.services.configuration import Configuration
    from infra.services.lifecycle import restart as restart_service

    restart_service(Configuration.of_last_up(Settings.from_environment()), name, report=_print)


@cluster.command("up")
def cluster_up(kind: Kind) -> None:
    """Start two workers, a job server and a pool of warm Python workers; the first time fetches jars with Maven."""
    from infra.cluster.lifecycle import bring_up

    bring_up(kind, Settings.from_environment(), report=_print)


@cluster.command("down")
def cluster_down(kind: Kind) -> None:
    """Stop it; nothing is left running, the jars stay."""
    from infra.cluster.lifecycle import bring_down

    bring_down(kind, Settings.from_environment(), report=_print)


@cluster.command("status")
def cluster_status(kind: Kind) -> None:
    """Say whether it works. Exit code 75 when it does not, or does not run."""
    from infra.cluster.lifecycle import rows

    found = rows(kind, Settings.from_environment())
    if not found:
        raise ResourceError(f"no {kind} cluster is running", fix=f"run `daybreak cluster up {kind}`")
    for row in found:
        _print(f"{'ok' if row.ok else 'ill':<4}{row.name:<16}{row.detail}")
    if not all(row.ok for row in found):
        raise typer.Exit(75)


@app.command()
def doctor() -> None:
    """Say what this machine lacks, and how to mend it. Works without any environment: python3 infra/doctor.py"""
    from infra import doctor as examination

    raise typer.Exit(examination.main([]))


@app.command()
def demo(
    start: Annotated[str, typer.Option(help="The first of four simulated days.")] = "2026-01-05",
    rows: Annotated[int, typer.Option(min=0, help="Of the first day; 0: as the simulator has it.")] = 0,
    visits: Annotated[int, typer.Option(min=1000, help="Of a day with a rollout.")] = 24_000,
    without: Without = None,
    airflow_port: AirflowPort = None,
    mlflow_port: MLflowPort = None,
) -> None:
    """Services, a shop that retrains on its gateway's own traffic, one rollout promoted and one rolled back."""
    from infra.demo import Demo
    from infra.services.configuration import Configuration

    configuration = Configuration.read(
        Settings.from_environment(), airflow_port=airflow_port, mlflow_port=mlflow_port, without=without or ()
    )
    raise typer.Exit(Demo(configuration=configuration, start=start, rows=rows, visits=visits).run())


@app.command(context_settings=_PASS_ON)
def check(context: typer.Context) -> None:
    """Check a pipeline folder without any data: daybreak check NAME"""
    become_ml("pipelines.check", context.args)


@app.command("compile", context_settings=_PASS_ON)
def compile_(context: typer.Context) -> None:
    """Write the manifest that Airflow reads: daybreak compile NAME … | --all | NAME --set train.epochs=8"""
    become_ml("pipelines.compile", context.args)


@app.command(context_settings=_PASS_ON)
def run(context: typer.Context) -> None:
    """Retrain one day in this terminal, without Airflow: daybreak run NAME --day DAY [--force --reason TEXT] [--skip-cache] [--rows-limit N]"""
    become_ml("pipelines.node", _run_arguments(context.args))


@app.command(context_settings=_PASS_ON)
def schema(context: typer.Context) -> None:
    """Propose a schema from a day of data, to curate: daybreak schema NAME --day DAY"""
    become_ml("pipelines.schema", context.args)


@app.command(context_settings=_PASS_ON)
def export(context: typer.Context) -> None:
    """Write a day's examples as tf.Examples: daybreak export NAME --day DAY --output FOLDER [--split train] [--transformed] [--gzip]"""
    become_ml("pipelines.export", context.args)


@app.command(context_settings=_PASS_ON)
def predict(context: typer.Context) -> None:
    """Predict for files: daybreak predict NAME --input URI --output URI [--model champion|challenger|@ALIAS|VERSION] [--day DAY]"""
    become_ml("components.prediction", context.args)


@app.command(context_settings=_PASS_ON)
def worker(context: typer.Context) -> None:
    """Run a warm worker in this terminal: daybreak worker --socket PATH"""
    become_ml("pipelines.worker", context.args)


@app.command(context_settings=_PASS_ON)
def generate(context: typer.Context) -> None:
    """Simulate the shop: daybreak generate shop --days 3 --start 2026-01-05"""
    name, *rest = context.args or [""]
    if name != "shop":
        raise SpecError(
            f"only `shop` has a simulator. Received: {name or 'no name'}", fix="daybreak generate shop --days 3"
        )
    become_ml("pipelines.shop.simulator", rest)


def _run_arguments(arguments: Sequence[str]) -> list[str]:
    """`NAME --day D --force --reason TEXT` as the node command wants it. Other arguments are passed on.

    A new run each time; `--run-id` resumes one.
    """
    name, *rest = arguments or [""]
    if not name or name.startswith("-"):
        received = name or "nothing"
        raise SpecError(f"the pipeline comes first. Received: {received}", fix="daybreak run shop --day 2026-01-05")
    passed: list[str] = []
    day = run_id = reason = ""
    force = False
    words = iter(rest)
    for word in words:
        option, equals, value = word.partition("=")
        if option in ("--rows-limit", "--day", "--run-id", "--reason"):
            value = value if equals else next(words, "")
        if option == "--force":
            force = True
        elif option == "--reason":
            reason = value
        elif option == "--rows-limit":
            passed += ["--set", f"rows_limit={value}"]
        elif option == "--day":
            day = value
        elif option == "--run-id":
            run_id = value
        else:
            passed.append(word)
    if not day:
        raise SpecError(
            "`--day` says which day to retrain. Received: none", fix=f"daybreak run {name} --day 2026-01-05"
        )
    if force:  # refused here, before seconds of imports
        override = Override.of(user=current_user(), reason=reason)
        passed += ["--force", f"--user={override.user}", f"--reason={override.reason}"]
    elif reason:
        raise SpecError(f"`--reason` says why a run is forced. Received: --reason {reason}", fix="add --force")
    run_id = run_id or f"{name}-{day}-{secrets.token_hex(4)}"
    manifest = Settings.from_environment().manifests / f"{name}.json"
    return ["run-all", "--manifest", str(manifest), "--run-id", run_id, "--day", day, *passed]


def _print(line: str) -> None:
    print(line, flush=True)


@contextlib.contextmanager
def _errors_end_in_exit_codes() -> Iterator[None]:
    try:
        yield
    except DaybreakError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        print("interrupted; `daybreak status` says what runs", file=sys.stderr)
        sys.exit(130)


def main() -> None:
    with _errors_end_in_exit_codes():
        app(prog_name=Path(sys.argv[0]).name if sys.argv else "daybreak", standalone_mode=True)


if __name__ == "__main__":
    main()
