from __future__ import annotations

import os
from pathlib import Path

import pytest

from components.decision.record import RegisteredModel, compose, latest_record, read_record
from components.decision.rendering import headline, render_markdown, render_text
from components.decision.report import Check, GateReport, Verdict
from pipelines.manifest import Manifest, Node
from pipelines.outcome import ArtifactRef, Outcome, State
from pipelines.settings import Settings

RUN, DAY = "toy-2026-01-05-00000000", "2026-01-05"
MANIFEST = Manifest(
    pipeline="toy",
    ir="toy.ir.json",
    ir_digest="0",
    nodes=(
        Node(id="contract", stage="data"),
        Node(id="train", stage="training", upstream=("contract",)),
        Node(id="evaluate", stage="evaluation", upstream=("train",)),
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


def gate(folder: Path, node: str, verdict: Verdict, *, overridden: bool = False) -> ArtifactRef:
    check = Check(name="auc", verdict=verdict, observed=0.6, bound=">= 0.7", reason="too low", overridden=overridden)
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
    assert (record.verdict, record.gate) == (verdict, "evaluate")
    assert record.seconds == 4.0
    assert record.model is not None and record.model.version == "3"


def test_a_refusal_names_the_gate_and_how_to_go_on(tmp_path: Path) -> None:
    outcomes = {"contract": outcome("contract", State.REFUSED, report=gate(tmp_path, "contract", Verdict.REFUSED))}
    record = compose(MANIFEST, outcomes, run_id=RUN, day=DAY)
    assert (record.verdict, record.gate, record.reason) == (Verdict.REFUSED, "contract", "too low")
    assert record.next_command == f"daybreak run toy --day {DAY} --force"
    assert [node.state for node in record.nodes] == ["refused", "not_run", "not_run", "not_run"]


def test_a_failure_is_not_evaluable_and_keeps_the_error(tmp_path: Path) -> None:
    outcomes = {"contract": outcome("contract"), "train": outcome("train", State.FAILED, error="loss is NaN")}
    record = compose(MANIFEST, outcomes, run_id=RUN, day=DAY)
    assert (record.verdict, record.gate, record.reason) == (Verdict.NOT_EVALUABLE, "train", "loss is NaN")


def test_a_run_stopped_before_its_first_node_has_a_record() -> None:
    record = compose(MANIFEST, {}, run_id=RUN, day=DAY, reason="the budget of 24 hours is spent")
    assert (record.verdict, record.gate) == (Verdict.NOT_EVALUABLE, "contract")
    assert "budget" in record.reason


def test_forced_checks_are_recorded(tmp_path: Path) -> None:
    outcomes = complete(tmp_path, Verdict.ACCEPTED)
    outcomes["contract"] = outcome("contract", report=gate(tmp_path, "contract", Verdict.REFUSED, overridden=True))
    record = compose(MANIFEST, outcomes, run_id=RUN, day=DAY)
    assert record.verdict is Verdict.ACCEPTED
    assert record.overridden == ("contract: auc",)


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
    assert "| auc | overall | 0.6 | >= 0.7 | refused |" in markdown
