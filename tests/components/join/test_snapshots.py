"""Sums by unit agree with a count by hand, and depend on nothing but the records."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.exposures.records import Exposure, Outcome
from components.join.question import moment
from components.join.snapshots import first_exposure, kept_snapshot, take_snapshot, write_once
from components.rollout.snapshot import Snapshot, Sums
from pipelines.spec import Spec, load_spec
from tests.components.join.traffic_log import BEAM, HOUR, ROLLOUT, START, exposure, outcome, random_traffic, write_log

AS_OF = START + 48 * HOUR


@pytest.fixture(scope="session")
def spec() -> Spec:
    """Cohorts of 12 hours, outcomes 3 hours late."""
    whole = load_spec("shop").model_dump()
    whole["rollout"] = {"unit": "user_id", "cohort_hours": 12, "maturity_hours": 3}
    return Spec.model_validate(whole)


def take(spec: Spec, log: Path, *, as_of: int = AS_OF, threads: int = 1) -> Snapshot:
    arguments = [*BEAM, f"--row_group_threads={threads}"]
    return take_snapshot(
        spec, log=log, rollout_id=ROLLOUT, as_of=moment(as_of), since=moment(START), beam_args=arguments
    )


def by_hand(exposures: list[Exposure], outcomes: list[Outcome], arm: str, name: str) -> Sums:
    """Unit by unit, in plain words."""
    mine = {one.decision_id: one for one in exposures if one.time <= AS_OF and one.arm != "shadow"}
    arms: dict[str, set[str]] = {}
    for one in mine.values():
        if one.rollout_id == ROLLOUT and one.arm in ("control", "treatment"):
            arms.setdefault(one.unit_id, set()).add(one.arm)
    total = Sums()
    for unit, seen in arms.items():
        visits = [one for one in mine.values() if one.unit_id == unit]
        inside = [one for one in visits if one.rollout_id == ROLLOUT and one.arm in ("control", "treatment")]
        first = min(one.time for one in inside)
        if seen != {arm} or first + 15 * HOUR > AS_OF:
            continue
        x = float(sum(len(one.propensities) for one in inside if one.time < first + 12 * HOUR))
        y = c = 0.0
        for found in outcomes:
            one = mine.get(found.decision_id)  # type: ignore[assignment]
            if found.name != name or found.received > AS_OF or one is None or one.unit_id != unit:
                continue
            when = max(found.time, one.time)
            y += found.value if one in inside and when < first + 12 * HOUR else 0
            c += found.value if one not in inside and when < first else 0
        total = total.merge(
            Sums(n=1, sx=x, sy=y, sxx=x * x, syy=y * y, sxy=x * y, sc=c, scc=c * c, sxc=x * c, syc=y * c)
        )
    return total


@pytest.mark.parametrize("seed", [1, 2])
def test_sums_are_those_of_a_count_by_hand(seed: int, spec: Spec, tmp_path: Path) -> None:
    exposures, outcomes = random_traffic(seed)
    write_log(tmp_path, exposures, outcomes, files=3)

    snapshot = take(spec, tmp_path)

    for kpi, name in (("click_value", "click_value"), ("click_rate", "clicked")):
        for arm in ("control", "treatment"):
            expected = by_hand(exposures, outcomes, arm, name)
            assert getattr(snapshot.kpi(kpi), arm).model_dump() == pytest.approx(expected.model_dump())
            assert expected.n > 3 and expected.sy > 0 and expected.sc > 0
    sliced = snapshot.kpi("click_rate").slices
    assert {name.partition("=")[0] for name in sliced} == {"device", "country"}
    assert sum(control.n for name, (control, _) in sliced.items() if name.startswith("country")) == (
        snapshot.kpi("click_rate").control.n
    )
    inside = [one for one in exposures if one.rollout_id == ROLLOUT and one.arm == "treatment" and one.time <= AS_OF]
    assert snapshot.treatment.requests == len(inside)
    assert snapshot.treatment.fallbacks == sum(bool(one.fallback) for one in inside)
    assert snapshot.treatment.mismatches == sum(one.served_version == "9" for one in inside) > 0
    assert snapshot.shadow.requests == sum(one.arm == "shadow" for one in exposures) > 0
    assert snapshot.treatment.p99_ms == pytest.approx(7, rel=0.011)
    assert snapshot.crossed_units > 0
    assert snapshot.orphans == 3
    assert snapshot.complete
    assert snapshot.newest_exposure == moment(max(one.time for one in exposures))


@pytest.fixture(scope="session")
def plain(spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    log = tmp_path_factory.mktemp("plain")
    write_log(log, *random_traffic(3))
    return take(spec, log)


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), files=st.integers(1, 4), threads=st.integers(1, 3))
def test_order_duplicates_late_files_and_threads_change_nothing(
    seed: int, files: int, threads: int, plain: Snapshot, spec: Spec, tmp_path_factory: pytest.TempPathFactory
) -> None:
    exposures, outcomes = random_traffic(3)
    other = tmp_path_factory.mktemp("other")
    draw = random.Random(seed)
    # A client that sent an outcome again is heard later; its row says so, and nothing else.
    again = [Outcome(*(getattr(one, name) for name in one.__struct_fields__)) for one in draw.sample(outcomes, 40)]
    for one in again:
        one.received += HOUR
    mixed = [*exposures, *draw.sample(exposures, 50)], [*outcomes, *again]
    for records in mixed:
        draw.shuffle(records)  # type: ignore[arg-type]
    write_log(other, mixed[0][::2], mixed[1][::2], files=files, name="z")
    write_log(other, mixed[0][1::2], mixed[1][1::2], files=2, name="late")

    found = take(spec, other, threads=threads)

    assert found.digest == plain.digest
    assert plain.duplicates == 0 < found.duplicates


def test_a_unit_counts_when_its_window_and_what_may_be_late_are_over(spec: Spec, tmp_path: Path) -> None:
    write_log(
        tmp_path,
        [exposure(0, 0, 1), exposure(1, 0, 12.9), exposure(2, 0, 13.1)],
        [outcome(0, 0, 12.99, 5.0), outcome(1, 0, 13.0, 7.0), outcome(2, 1, 2, 11.0), outcome(3, 0, 2, 13.0, lag=15)],
    )

    assert take(spec, tmp_path, as_of=START + 16 * HOUR - 1).kpi("click_value").control.n == 0
    found = take(spec, tmp_path, as_of=START + 16 * HOUR).kpi("click_value").control

    # Two answers within 12 hours, of 2 and 3 rows; 7.0 is of hour 12, 11.0 dated before its answer, 13.0 not yet known.
    assert (found.n, found.sx, found.sy) == (1, 5, 16)


def test_a_damaged_file_is_left_out_and_said(spec: Spec, tmp_path: Path) -> None:
    exposures, outcomes = random_traffic(4)
    write_log(tmp_path, exposures, outcomes, files=2)
    damaged = next(tmp_path.glob("exposures/day=*/a-1.parquet"))
    content = bytearray(damaged.read_bytes())
    content[10:200] = b"x" * 190
    damaged.write_bytes(content)

    snapshot = take(spec, tmp_path)

    assert not snapshot.complete
    assert snapshot.kpi("click_value").control.n > 0


def test_a_snapshot_is_never_changed(spec: Spec, tmp_path: Path) -> None:
    exposures, outcomes = random_traffic(5, visits=50)
    log = tmp_path / "log"
    write_log(log, exposures, outcomes)

    def kept() -> tuple[Path, Snapshot]:
        return kept_snapshot(
            spec, log=log, state=tmp_path, rollout_id=ROLLOUT, as_of=moment(AS_OF), since=moment(START), beam_args=BEAM
        )

    path, first = kept()
    write_log(log, exposures, [*outcomes, outcome(777, 0, 1, 1e6)], name="later")
    write_once(path, Snapshot(model="shop", rollout_id=ROLLOUT, as_of=moment(AS_OF)))

    assert kept() == (path, first)
    assert path == tmp_path / "rollouts/shop/shop-7/snapshots/2026-01-07T080000Z.json"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_without_traffic_there_is_an_empty_snapshot(spec: Spec, tmp_path: Path) -> None:
    snapshot = take(spec, tmp_path / "none")

    assert [kpi.name for kpi in snapshot.kpis] == ["click_value", "click_rate"]
    assert snapshot.control.requests == 0
    assert snapshot.newest_exposure is None


def test_the_rollout_begins_with_its_first_exposure(tmp_path: Path) -> None:
    write_log(tmp_path, [exposure(0, 0, 30), exposure(1, 1, 26), exposure(2, 2, 1, rollout_id="other")], [])

    assert first_exposure(tmp_path, ROLLOUT) == moment(START + 26 * HOUR)
