"""Whole days through Airflow, and what happens when something is killed or the data is bad."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess

import psutil
import pytest

from pipelines.outcome import State
from tests.e2e.conftest import Shop

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

FIRST, SECOND, THIRD, FOURTH = "2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08"


def test_two_days_make_two_champions(shop: Shop) -> None:
    for number, day in enumerate((FIRST, SECOND), start=1):
        name = shop.trigger(f"day-{day}", day=day)
        state = shop.wait(name)
        result = shop.result(name, day, state)
        assert (state, result.verdict) == ("success", "accepted"), result
        assert result.decision["model"]["version"] == str(number)
        assert result.decision["model"]["champion_before"] == (None if number == 1 else str(number - 1))


def test_the_same_day_again_reuses_everything_and_adds_no_version(shop: Shop) -> None:
    name = shop.trigger("again", day=SECOND)
    assert shop.wait(name) == "success"
    outcomes = shop.outcomes(name, SECOND)
    assert {node for node, outcome in outcomes.items() if outcome.state is not State.CACHED} == set()
    assert all(outcome.cache.startswith("hit because") for outcome in outcomes.values())
    assert shop.result(name, SECOND, "success").decision["model"]["version"] == "2"


def test_a_node_killed_while_it_trains_is_tried_again_and_the_day_ends(shop: Shop) -> None:
    name = shop.trigger("killed-node", day=THIRD)
    transformed = shop.outcome_file(name, THIRD, "transform")
    shop.until(transformed.exists, "transform", seconds=300)
    worker, since = psutil.Process(shop.installation.pid("worker")), transformed.stat().st_mtime
    # The child of transform lives a moment longer than its outcome is there.
    [child] = shop.until(lambda: _children(worker, since=since), "the child that trains")
    child.kill()
    assert shop.wait(name) == "success"
    assert max(shop.task_tries(name).values()) == 2
    assert shop.result(name, THIRD, "success").decision["model"]["version"] == "3"


def test_services_killed_in_the_middle_of_a_day(shop: Shop) -> None:
    """Scheduler, MLflow and worker at once: supervised ones come back, and the day or its next run ends the same."""
    name = shop.trigger("killed-services", day=FOURTH)
    shop.until(lambda: shop.outcome_file(name, FOURTH, "examples").exists(), "examples", seconds=300)
    for service in ("scheduler", "mlflow", "worker"):
        os.kill(shop.installation.pid(service), signal.SIGKILL)
    state = shop.wait(name, seconds=600)
    if state != "success":
        name = shop.trigger("killed-services-again", day=FOURTH)
        assert shop.wait(name) == "success"
    result = shop.result(name, FOURTH, "success")
    assert (result.verdict, result.decision["model"]["version"]) == ("accepted", "4")


def test_a_missing_day_fails_once_and_says_what_to_do(shop: Shop) -> None:
    name = shop.trigger("missing", day="2026-01-20")
    assert shop.wait(name) == "failed"
    outcome = shop.outcomes(name, "2026-01-20")["contract"]
    assert (outcome.state, outcome.exit_code) == (State.FAILED, 65)
    assert "Fix:" in outcome.error
    assert shop.task_tries(name)["contract"] == 1
    decision = shop.result(name, "2026-01-20", "failed").decision
    assert (decision["verdict"], decision["gate"]) == ("not_evaluable", "contract")


def test_a_refused_day_has_a_record_and_force_goes_on(shop: Shop) -> None:
    good = shop.settings.data / "shop" / f"day={FIRST}"
    bad = shop.settings.data / "shop" / "day=2026-01-09"
    shutil.copytree(good, bad)
    _spoil(shop, bad / "impressions.parquet")
    name = shop.trigger("bad-day", day="2026-01-09")
    assert shop.wait(name) == "failed"
    result = shop.result(name, "2026-01-09", "failed")
    assert (result.verdict, result.decision["gate"]) == ("refused", "contract")
    assert shop.task_tries(name)["contract"] == 1
    forced = shop.trigger("bad-day-forced", day="2026-01-09", force=True, reason="known to the supplier")
    shop.wait(forced)
    assert shop.result(forced, "2026-01-09", "success").decision["overridden"][0]["user"] == "admin"


def _children(process: psutil.Process, *, since: float) -> list[psutil.Process]:
    return [child for child in process.children() if child.create_time() > since]


def _spoil(shop: Shop, path: object) -> None:
    code = (
        "import sys, pyarrow as pa, pyarrow.parquet as pq;"
        "t = pq.read_table(sys.argv[1]);"
        "price = [-1.0 if i % 10 == 0 else v for i, v in enumerate(t['price'].to_pylist())];"
        "pq.write_table(t.set_column(t.column_names.index('price'), 'price', pa.array(price)), sys.argv[1])"
    )
    subprocess.run([str(shop.settings.python("ml")), "-c", code, str(path)], check=True)
