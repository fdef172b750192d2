from __future__ import annotations

import os
from pathlib import Path

import pytest

from components.decision.record import RegisteredModel, compose, latest_record, read_record
from components.decision.rendering import headline, render_markdown, render_text
from components.decision.report import Check, GateReport, Verdict
from components.decision.schema import schema_text
from pipelines.errors import SpecError
from pipelines.manifest import Manifest, Node
from pipelines.outcome import ArtifactRef, Outcome, State
from pipelines.override import Override
from pipelines.settings import REPOSITORY, Settings

RUN, DAY = "toy-2026-01-05-00000000", "2026-01-05"
MANIFEST = Manifest(
    pipeline="toy",
    ir="toy.ir.json",
    ir_digest="0",
    nodes=(
        Node(id="contract", stage="data", gate=True),
        Node(id="train", stage="training", upstream=("contract",)),
        Node(id="evaluate", stage="evaluation", upstream=("train",), gate=True),
        Node(id="register", stage="release", upstream=("evaluate",)),
    ),
)


def outcome(node: str, state: State = State.COMPLETE, *, error: str = "", **outputs: ArtifactRef) -> Outcome:
    order = [item.id for item in MANIFEST.nodes].index(node)
    return Outcome(
        pipeline="toy",
        run_id=RUN,
        node=node,
        day=DAY,
        state=state,
        error=error,
        started=100.0 + order,
        ended=101.0 + order,
        outputs={name: (ref,) for name, ref in outputs.items()},
    )


def gate(folder: Path, node: str, verdict: Verdict) -> ArtifactRef:
    check = Check(name="auc", verdict=verdict, observed=0.6, bound=">= 0.7", reason="too low")
    GateReport.of(node, [check]).write(folder / node)
    return ArtifactRef(type="GateReport", uri=str(folder / node))


def complete(folder: Path, verdict: Verdict) -> dict[str, Outcome]:
    RegisteredModel(name="toy", version="3", aliases=("champion",), champion_before="2", champion_after="3").write(
        folder / "registration"
    )
    registration = ArtifactRef(type="Registration", uri=str(folder / "registration"))
    return {
        "contract": outcome("contract", report=gate(folder, "contract", Verdict.ACCEPTED)),
        "train": outcome("train"),
        "evaluate": outcome("evaluate", report=gate(folder, "evaluate", verdict)),
        "register": outcome("register", registration=registration),
    }


@pytest.mark.parametrize("verdict", list(Verdict))
def test_the_last_gate_decides_a_complete_run(tmp_path: Path, verdict: Verdict) -> None:
    record = compose(MANIFEST, complete(tmp_path, verdict), run_id=RUN, day=DAY)
    assert (record.verdict, record.gate) == (verdict, "" if verdict is Verdict.ACCEPTED else "evaluate")
    assert record.seconds == 4.0
    assert record.model is not None and record.model.version == "3"


def test_a_refusal_names_the_gate_and_how_to_go_on(tmp_path: Path) -> None:
    outcomes = {"contract": outcome("contract", State.REFUSED, report=gate(tmp_path, "contract", Verdict.REFUSED))}
    record = compose(MANIFEST, outcomes, run_id=RUN, day=DAY)
    assert (record.verdict, record.gate, record.reason) == (Verdict.REFUSED, "contract", "too low")
    assert record.next_command == f"daybreak run toy --day {DAY} --force --reason TEXT"
    assert [node.state for node in record.nodes] == ["refused", "not_run", "not_run", "not_run"]


def test_a_failure_is_not_evaluable_and_keeps_the_error(tmp_path: Path) -> None:
    outcomes = {"contract": outcome("contract"), "train": outcome("train", State.FAILED, error="loss is NaN")}
    record = compose(MANIFEST, outcomes, run_id=RUN, day=DAY)
    assert (record.verdict, record.gate, record.reason) == (Verdict.NOT_EVALUABLE, "train", "loss is NaN")


def test_a_run_stopped_before_its_first_node_has_a_record() -> None:
    record = compose(MANIFEST, {}, run_id=RUN, day=DAY, reason="the budget of 24 hours is spent")
    assert (record.verdict, record.gate) == (Verdict.NOT_EVALUABLE, "contract")
    assert "budget" in record.reason


FORCED_BY = ("ann", "the supplier confirmed it")
FORCED = Override(user="ann", reason="the supplier confirmed it")


def test_forced_checks_are_recorded(tmp_path: Path) -> None:
    outcomes = complete(tmp_path, Verdict.ACCEPTED)
    refused = outcome("contract", report=gate(tmp_path, "contract", Verdict.REFUSED))
    outcomes["contract"] = refused.model_copy(update={"override": FORCED})
    record = compose(MANIFEST, outcomes, run_id=RUN, day=DAY)
    assert record.verdict is Verdict.ACCEPTED
    [overridden] = record.overridden
    assert (overridden.gate, overridden.check, overridden.user, overridden.reason) == ("contract", "auc", *FORCED_BY)
    assert record.gates[0].verdict is Verdict.ACCEPTED and record.gates[0].checks[0].overridden
    for shown in (render_text(record), render_markdown(record)):
        assert "past contract: auc by ann: the supplier confirmed it" in shown


def test_gates_that_never_ran_are_listed_with_the_reason(tmp_path: Path) -> None:
    refused = {"contract": outcome("contract", State.REFUSED, report=gate(tmp_path, "contract", Verdict.REFUSED))}
    [not_run] = compose(MANIFEST, refused, run_id=RUN, day=DAY).gates_not_run
    assert (not_run.gate, not_run.reason) == ("evaluate", "`contract` ended the run before it")
    stopped = compose(MANIFEST, {}, run_id=RUN, day=DAY, reason="the budget is spent")
    assert [(g.gate, g.reason) for g in stopped.gates_not_run] == [
        ("contract", "the budget is spent"),
        ("evaluate", "the budget is spent"),
    ]
    failed = {**refused, "contract": outcome("contract", State.FAILED, error="no files")}
    assert compose(MANIFEST, failed, run_id=RUN, day=DAY).gates_not_run[0].reason == "no files"
    assert "evaluate: not run, the budget is spent" in render_text(stopped)
    assert compose(MANIFEST, complete(tmp_path, Verdict.ACCEPTED), run_id=RUN, day=DAY).gates_not_run == ()


def test_the_verdict_is_the_same_bytes_whenever_and_wherever_it_is_given(tmp_path: Path) -> None:
    outcomes = complete(tmp_path, Verdict.INCONCLUSIVE)
    record = compose(MANIFEST, outcomes, run_id=RUN, day=DAY)
    later = {
        node: one.model_copy(
            update={"started": one.started + 9e6, "ended": one.ended + 9e7, "tracking_url": "http://x"}
        )
        for node, one in outcomes.items()
    }
    again = compose(MANIFEST, later, run_id="toy-2026-01-05-ffffffff", day=DAY)
    assert again.verdict_bytes() == record.verdict_bytes()
    assert again.digest != record.digest
    assert b"0.6" in record.verdict_bytes() and b'"champion_before": "2"' in record.verdict_bytes()
    other = {**outcomes, "evaluate": outcome("evaluate", report=gate(tmp_path, "evaluate", Verdict.REFUSED))}
    assert compose(MANIFEST, other, run_id=RUN, day=DAY).verdict_bytes() != record.verdict_bytes()


def test_a_record_of_another_version_is_told_from_a_broken_one(tmp_path: Path) -> None:
    (tmp_path / "decision.json").write_text('{"schema_version": 1}')
    with pytest.raises(SpecError, match="record of version 2: `schema_version`.*\n.*run the day again"):
        read_record(tmp_path / "decision.json")


def test_a_lost_report_does_not_hide_the_verdict(tmp_path: Path) -> None:
    lost = ArtifactRef(type="GateReport", uri=str(tmp_path / "nowhere"))
    outcomes = {"contract": outcome("contract", State.REFUSED, error="1 of 9 checks", report=lost)}
    assert compose(MANIFEST, outcomes, run_id=RUN, day=DAY).reason == "1 of 9 checks"


def test_written_twice_is_the_same_file_and_the_newest_run_wins(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, state=tmp_path)
    record = compose(MANIFEST, complete(tmp_path, Verdict.ACCEPTED), run_id=RUN, day=DAY)
    path = record.write(settings)
    before = path.read_bytes()
    record.write(settings)
    assert path.read_bytes() == before
    assert read_record(path) == record
    newer = record.model_copy(update={"run_id": "toy-2026-01-05-ffffffff", "verdict": Verdict.REFUSED})
    os.utime(newer.write(settings), (2e9, 2e9))
    assert latest_record(settings, "toy", DAY) == newer
    assert latest_record(settings, "toy", "2026-01-06") is None


def test_renderings_put_the_verdict_first(tmp_path: Path) -> None:
    record = compose(MANIFEST, complete(tmp_path, Verdict.REFUSED), run_id=RUN, day=DAY)
    assert headline(record) == "Refused by `evaluate`: too low"
    assert render_text(record).splitlines()[0].endswith("Refused by `evaluate`: too low")
    markdown = render_markdown(record)
    assert markdown.index("Refused") < markdown.index("### evaluate") < markdown.index("Where the time went")
    assert "| auc | overall | 0.6 |  | >= 0.7 | refused | too low |" in markdown


def test_the_terminal_tells_every_check_with_its_interval_and_code(tmp_path: Path) -> None:
    checks = [
        Check(name="auc", verdict=Verdict.ACCEPTED, observed=0.71, bound=">= 0.7", reason="as it should"),
        Check(
            name="loss",
            verdict=Verdict.INCONCLUSIVE,
            observed=-0.01,
            bound="> -0.02",
            slice="city=a",
            interval=(-0.03, 0.01),
            reason="the interval holds the margin",
            reason_code="interval_includes_margin",
        ),
    ]
    GateReport.of("evaluate", checks, next_command="daybreak promote toy").write(tmp_path / "evaluate")
    report = ArtifactRef(type="GateReport", uri=str(tmp_path / "evaluate"))
    outcomes = {**complete(tmp_path / "other", Verdict.ACCEPTED), "evaluate": outcome("evaluate", report=report)}
    lines = render_text(compose(MANIFEST, outcomes, run_id=RUN, day=DAY)).splitlines()
    [first] = [line for line in lines if "auc [overall]" in line and "0.71" in line]
    [second] = [line for line in lines if "loss [city=a]" in line]
    assert first.split() == ["accepted", "auc", "[overall]", "0.71,", "bound", ">=", "0.7"]
    assert second.strip().startswith("inconclusive")
    assert "-0.01, [-0.03, 0.01], bound > -0.02: the interval holds the margin (interval_includes_margin)" in second
    assert "           next: daybreak promote toy" in lines


def test_the_published_schema_is_that_of_the_record() -> None:
    published = REPOSITORY / "docs" / "schemas" / "decision.json"
    assert published.read_text() == schema_text(), "run `python -m components.decision.schema`"
