from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dags.parameters import RunParameters, trigger_form
from pipelines.errors import DataError, SpecError
from pipelines.override import Override
from pipelines.spec import ClusterKind

NOW = datetime.datetime(2026, 1, 6, 2, 0, tzinfo=datetime.UTC)
DAY = datetime.date(2026, 1, 5)


def read(
    form: dict[str, Any], *, partition_key: str | None = None, zone: str = "UTC", run_after=NOW, user: str = ""
) -> RunParameters:
    return RunParameters.read(
        form,
        partition_key=partition_key,
        run_after=run_after,
        zone=ZoneInfo(zone),
        user=user,
        today=datetime.date(2026, 1, 6),
    )


def test_an_empty_form_means_the_day_before_the_trigger():
    assert read({name: param.value for name, param in trigger_form().items()}) == RunParameters(day=DAY)


def test_yesterday_is_counted_in_the_zone_of_the_schedule():
    late = datetime.datetime(2026, 1, 6, 23, 30, tzinfo=datetime.UTC)
    assert read({}, run_after=late, zone="UTC").day == DAY
    assert read({}, run_after=late, zone="Asia/Tokyo").day == datetime.date(2026, 1, 6)


def test_the_partition_comes_before_yesterday():
    assert read({}, partition_key="2026-01-02").day == datetime.date(2026, 1, 2)


def test_a_day_that_contradicts_the_partition_is_refused():
    assert read({"day": "2026-01-02"}, partition_key="2026-01-02").day == datetime.date(2026, 1, 2)
    with pytest.raises(SpecError, match=r"same day.*Received: day=2026-01-03, partition=2026-01-02"):
        read({"day": "2026-01-03"}, partition_key="2026-01-02")


def test_today_is_allowed_and_tomorrow_is_not():
    assert read({"day": "2026-01-06"}).day == datetime.date(2026, 1, 6)
    with pytest.raises(DataError, match="must not be after today, 2026-01-06 in UTC. Received: day=2026-01-07"):
        read({"day": "2026-01-07"})


@pytest.mark.parametrize(
    "form", [{"day": "tomorrow"}, {"day": "2026-02-30"}, {"rows_limit": -1}, {"rows_limit": 1.5}, {"cluster": "yarn"}]
)
def test_nonsense_is_refused_with_its_name(form: dict[str, Any]):
    with pytest.raises(SpecError, match=rf"`{next(iter(form))}` must be .*Received: "):
        read(form)


def test_the_cluster_is_the_declared_one_unless_another_is_chosen():
    assert read({"cluster": "as declared"}).cluster is None
    assert read({"cluster": "flink"}).cluster is ClusterKind.FLINK


def test_force_needs_a_reason_and_takes_whoever_triggered():
    assert read({"force": True, "reason": " it is  known "}, user="ann").override == Override(
        user="ann", reason="it is known"
    )
    assert read({"reason": " "}, user="ann").override is None
    for form, user in (
        ({"force": True}, "ann"),
        ({"force": True, "reason": " "}, "ann"),
        ({"force": True, "reason": "x"}, ""),
    ):
        with pytest.raises(SpecError, match="needs a user and a reason"):
            read(form, user=user)
    with pytest.raises(SpecError, match="`force` is off"):
        read({"reason": "because"}, user="ann")


def test_the_form_validates_types():
    form = trigger_form()
    assert {name: param.resolve() for name, param in form.items()} == {
        "day": None,
        "force": False,
        "reason": None,
        "skip_cache": False,
        "rows_limit": 0,
        "cluster": "as declared",
    }
    for name, wrong in {
        "day": "never",
        "force": "yes",
        "reason": 1,
        "skip_cache": 1,
        "rows_limit": -1,
        "cluster": "yarn",
    }.items():
        with pytest.raises(Exception, match="Invalid input|is not|minimum"):
            form[name].resolve(value=wrong)


def test_arguments_of_the_node_command():
    asked = RunParameters(day=DAY, override=Override(user="ann", reason="-why"), skip_cache=True, rows_limit=7)
    forced = ["--force", "--user=ann", "--reason=-why"]
    assert asked.arguments(with_defaults=False) == ["--set", "rows_limit=7", "--skip-cache", *forced]
    assert RunParameters(day=DAY, cluster=ClusterKind.FLINK).arguments(with_defaults=False) == ["--cluster", "flink"]
    nothing = RunParameters(day=DAY)
    assert nothing.arguments(with_defaults=True) == ["--set", "rows_limit=0"]
    assert nothing.arguments(with_defaults=False) == [], "a plain TFX pipeline has no such parameters"
