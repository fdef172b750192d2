from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import json
from pathlib import Path
from typing import Any

import pytest
from tfx.types import standard_artifacts

from components.decision.record import DecisionRecord
from components.decision.report import Verdict
from components.ledger.entries import CHALLENGER, CHAMPION, PREVIOUS, Draft, Event, champion
from components.ledger.ledger import Ledger, LedgerConflict
from components.registry.champion.executor import ChampionExecutor
from components.registry.champion.stamp import champion_stamp
from components.registry.package import model_key
from components.registry.register import executor
from components.registry.register.executor import Candidate, register
from components.registry.versions import Registry
from components.rollout.store import RolloutStore
from pipelines.errors import TransientError
from pipelines.manifest import Manifest
from pipelines.override import Override
from pipelines.settings import Settings
from tests.components.registry.conftest import Make
from tests.components.rollout.writing import plan


def alias(registry: Registry, name: str) -> str | None:
    return registry.aliases()[name]


def stamp(registry: Registry, day: str) -> str:
    return champion_stamp(Manifest(pipeline=registry.name, ir="", ir_digest="", nodes=()), {"day": day})


def test_accepted_candidates_become_champion_one_after_the_other(
    registry: Registry, ledger: Ledger, make_candidate: Make
) -> None:
    first = register(registry, ledger, make_candidate("2026-01-05", weight=0.1))
    assert (first.version, first.champion_before, first.champion_after) == ("1", None, "1")
    second = register(registry, ledger, make_candidate("2026-01-06", weight=0.2))
    assert (second.version, second.champion_before, second.champion_after) == ("2", "1", "2")
    assert set(second.aliases) == {CHAMPION, CHALLENGER}
    assert (alias(registry, CHAMPION), alias(registry, PREVIOUS)) == ("2", "1")


def test_the_same_model_of_the_same_day_is_one_version(
    registry: Registry, ledger: Ledger, make_candidate: Make
) -> None:
    first = register(registry, ledger, make_candidate("2026-01-05"))
    again = register(registry, ledger, make_candidate("2026-01-05"))
    assert (again.version, again.reused, again.champion_before) == (first.version, True, None)
    other = register(registry, ledger, make_candidate("2026-01-05", weight=0.9))
    assert other.version == "2"


def test_a_refused_candidate_is_not_registered(registry: Registry, ledger: Ledger, make_candidate: Make) -> None:
    register(registry, ledger, make_candidate("2026-01-05"))
    refused = register(registry, ledger, make_candidate("2026-01-06", weight=0.2, verdict=Verdict.REFUSED))
    assert (refused.version, refused.champion_after) == (None, "1")
    assert "as bound" in refused.reason
    assert alias(registry, CHAMPION) == "1"


@pytest.mark.parametrize("verdict", [Verdict.INCONCLUSIVE, Verdict.NOT_EVALUABLE])
def test_without_an_accepting_verdict_it_stays_challenger(
    registry: Registry, ledger: Ledger, make_candidate: Make, verdict: Verdict
) -> None:
    registered = register(registry, ledger, make_candidate("2026-01-05", verdict=verdict))
    assert (registered.aliases, alias(registry, CHAMPION)) == ((CHALLENGER,), None)


def test_a_backfilled_day_meets_the_champion_of_its_time_and_dethrones_nobody(
    registry: Registry, ledger: Ledger, make_candidate: Make
) -> None:
    register(registry, ledger, make_candidate("2026-01-05", weight=0.1))
    register(registry, ledger, make_candidate("2026-01-09", weight=0.2))
    late = register(registry, ledger, make_candidate("2026-01-07", weight=0.3))
    assert (late.version, late.champion_before) == ("3", "1")
    assert alias(registry, CHAMPION) == "2"
    assert "later stays live" in late.reason
    later = champion(ledger.entries(), before=datetime.date(2026, 1, 8))
    assert later is not None and later.version == "3"


def test_the_stamp_names_the_champion_a_day_meets(registry: Registry, ledger: Ledger, make_candidate: Make) -> None:
    assert stamp(registry, "2026-01-05") == "none"
    register(registry, ledger, make_candidate("2026-01-05"))
    assert stamp(registry, "2026-01-05") == "none"
    assert stamp(registry, "2026-01-06") == "version 1"


def test_two_registrations_at_once_make_one_version(registry: Registry, ledger: Ledger, make_candidate: Make) -> None:
    candidates = [make_candidate("2026-01-05") for _ in range(3)]

    def once(index: int) -> str | None:
        return register(registry, ledger, candidates[index]).version

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        assert list(pool.map(once, range(3))) == ["1", "1", "1"]


def test_the_version_tells_its_lineage_and_loads(
    registry: Registry, ledger: Ledger, make_candidate: Make, tmp_path: Path
) -> None:
    import mlflow
    import mlflow.artifacts
    from mlflow.models import Model

    mlflow.set_tracking_uri(registry.uri)

    candidate = make_candidate("2026-01-05")
    register(registry, ledger, candidate)
    version = registry.client.get_model_version(registry.name, "1")
    assert version.tags["daybreak.day"] == "2026-01-05"
    assert version.tags["daybreak.examples_uri"] == candidate.uris["examples"]
    folder = Path(
        mlflow.artifacts.download_artifacts(
            artifact_uri=version.source, dst_path=str(tmp_path / "there"), tracking_uri=registry.uri
        )
    )
    model = Model.load(str(folder))
    assert model.signature.inputs.input_names() == ["price", "city"]
    assert json.loads((folder / "input_example.json").read_text()) == {"price": 1.5, "city": "a"}
    assert model_key(folder / "saved_model") == model_key(candidate.saved_model)


def test_the_champion_node_fetches_model_and_statistics(
    registry: Registry, ledger: Ledger, make_candidate: Make, tmp_path: Path
) -> None:
    candidate = make_candidate("2026-01-05")
    for day, there in (("2026-01-05", False), ("2026-01-06", True)):
        register(registry, ledger, candidate)
        outputs = {"model": [standard_artifacts.Model()], "statistics": [standard_artifacts.ExampleStatistics()]}
        for name, artifacts in outputs.items():
            artifacts[0].uri = str(tmp_path / day / name)
            Path(artifacts[0].uri).mkdir(parents=True)
        ChampionExecutor().Do({}, outputs, {"pipeline": registry.name, "day": day})
        model = outputs["model"][0]
        assert (model.get_string_custom_property("absent") == "yes") is not there
        assert (Path(model.uri) / "Format-Serving" / "saved_model.pb").exists() is there
        assert sorted(path.name for path in Path(model.uri).iterdir()) == (["Format-Serving"] if there else [])
        assert (Path(outputs["statistics"][0].uri) / "Split-train" / "FeatureStats.pb").exists() is there


def test_without_a_registry_the_error_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(TransientError, match="daybreak up"):
        Registry.connect(Settings(home=tmp_path, state=tmp_path), "toy")


def test_five_past_days_judged_again_give_the_same_bytes(
    registry: Registry, ledger: Ledger, make_candidate: Make
) -> None:
    """With later champions there, and after a rollback."""
    candidates = [make_candidate(f"2026-01-{day:02}", weight=day / 10) for day in range(5, 10)]

    def judge(candidate: Candidate, run_id: str) -> bytes:
        record = DecisionRecord(
            pipeline=registry.name,
            day=str(candidate.day),
            run_id=run_id,
            verdict=candidate.report.verdict,
            gate=candidate.report.gate,
            reason=candidate.report.reason,
            next_command="",
            gates=(candidate.report,),
            model=register(registry, ledger, candidate),
        )
        return record.verdict_bytes()

    first = [judge(candidate, "then") for candidate in candidates]
    back = Draft(event=Event.ROLLED_BACK, actor="ann", reason="r", version="1", day=candidates[-1].day)
    rows = ledger.append(back, after=ledger.entries())
    assert [judge(candidate, "now") for candidate in candidates] == first
    assert [entry for entry in ledger.entries() if entry.event is not Event.ALIAS_MOVED] == list(rows)
    assert b'"champion_before": "4"' in first[-1]
    assert alias(registry, CHAMPION) == "1"


def test_after_a_rollback_running_the_day_again_does_not_bring_its_model_back(
    registry: Registry, ledger: Ledger, make_candidate: Make
) -> None:
    register(registry, ledger, make_candidate("2026-01-05", weight=0.1))
    second = make_candidate("2026-01-06", weight=0.2)
    register(registry, ledger, second)
    draft = Draft(event=Event.ROLLED_BACK, actor="ann", reason="r", version="1", previous_version="2", day=second.day)
    ledger.append(draft, after=ledger.entries())
    again = register(registry, ledger, second)
    assert (again.version, again.champion_before) == ("2", "1")
    assert alias(registry, CHAMPION) == "1"
    next_day = register(registry, ledger, make_candidate("2026-01-07", weight=0.3))
    assert (next_day.champion_before, alias(registry, CHAMPION)) == ("1", "3")


def test_a_forced_promotion_names_who_forced_it(registry: Registry, ledger: Ledger, make_candidate: Make) -> None:
    candidate = make_candidate("2026-01-05", verdict=Verdict.REFUSED)
    override = Override(user="ann", reason="the bound is wrong")
    forced = dataclasses.replace(candidate, report=candidate.report.forced(), override=override)
    assert register(registry, ledger, forced).champion_after == "1"
    promoted = ledger.entries()[-1]
    assert (promoted.event, promoted.actor) == (Event.PROMOTED, "ann")
    assert "forced by ann: the bound is wrong" in promoted.reason


def test_a_promotion_that_comes_between_wins_and_the_node_is_told(
    registry: Registry, ledger: Ledger, make_candidate: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    register(registry, ledger, make_candidate("2026-01-05", weight=0.1))
    candidate = make_candidate("2026-01-06", weight=0.2)
    create = executor._create

    def meanwhile(*arguments: Any, **more: Any) -> Any:
        draft = Draft(event=Event.PROMOTED, actor="ann", reason="r", version="1", day=candidate.day)
        ledger.append(draft, after=ledger.entries())
        return create(*arguments, **more)

    monkeypatch.setattr(executor, "_create", meanwhile)
    with pytest.raises(LedgerConflict, match="promoted 1 by ann"):
        register(registry, ledger, candidate)
    monkeypatch.undo()
    assert champion(ledger.entries()) == ledger.entries()[-1]


def test_an_alias_moved_by_hand_is_told_by_the_registration(
    registry: Registry, ledger: Ledger, make_candidate: Make
) -> None:
    for day in ("2026-01-05", "2026-01-06"):
        register(registry, ledger, make_candidate(day))
    registry.client.set_registered_model_alias(registry.name, CHAMPION, "1")
    [text] = register(registry, ledger, make_candidate("2026-01-07", weight=0.3)).noticed
    assert "@champion was moved by hand to version 1" in text
    assert alias(registry, CHAMPION) == "3"


def test_with_a_rollout_an_accepted_candidate_is_queued_once(
    registry: Registry, ledger: Ledger, make_candidate: Make
) -> None:
    def candidate(day: str, weight: float) -> Candidate:
        return dataclasses.replace(make_candidate(day, weight=weight), rollout=plan())

    store = RolloutStore(ledger.engine)
    assert register(registry, ledger, candidate("2026-01-05", 0.1)).champion_after == "1", (
        "the first has nobody to beat"
    )
    assert store.standings(registry.name) == []
    second = candidate("2026-01-06", 0.2)
    told = register(registry, ledger, second)
    assert (told.version, told.champion_before, told.champion_after) == ("2", "1", "1")
    queued = store.queued(registry.name)
    assert queued is not None and (queued.challenger, queued.champion) == ("2", "1") and queued.id in told.reason
    assert register(registry, ledger, second).reason == told.reason and len(store.standings(registry.name)) == 1
    assert (alias(registry, CHAMPION), alias(registry, CHALLENGER)) == ("1", "2")
    late = register(registry, ledger, candidate("2026-01-04", 0.3))
    assert late.champion_after is None and store.queued(registry.name) == queued, "an older day queues nothing"
