"""The page with a real database: every state, hostile texts, and what is down."""

from __future__ import annotations

import datetime
import itertools
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from components.join.snapshots import snapshot_path, write_once
from components.ledger.ledger import Ledger
from components.rollout.page.history import planned_looks
from components.rollout.page.reading import draw
from components.rollout.snapshot import ArmTraffic, KpiSums, Snapshot, Sums
from components.rollout.standing import Look, Standing, State
from components.rollout.store import RolloutStore
from pipelines.settings import Settings
from tests.components.rollout.writing import NOON, begin, change, lead

HOSTILE = "<script>alert('x')</script> \"& more"


class Texts(HTMLParser):
    """What a browser would show, and which tags it would obey; unbalanced ones are an error."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.shown = ""
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag != "meta":
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.shown += data


def snapshot(standing: Standing, *, hours: float, clicks: float) -> Snapshot:
    """`clicks` of the treatment for each request; the control has 0.1."""

    def sums(rate: float) -> Sums:
        return Sums(n=20_000, sx=200_000, sy=200_000 * rate, sxx=2e6, syy=20_000 * (rate * 20), sxy=2e6 * rate)

    return Snapshot(
        model=standing.model,
        rollout_id=standing.id,
        as_of=NOON + datetime.timedelta(hours=hours),
        kpis=(KpiSums(name="click_rate", control=sums(0.1), treatment=sums(clicks)),),
        control=ArmTraffic(units=21_345, requests=210_000, p99_ms=9),
        treatment=ArmTraffic(units=21_400, requests=210_000, p99_ms=9, fallbacks=3),
    )


PATHS: dict[State, tuple[State, ...]] = {
    State.GATED: (),
    State.AWAIT_APPROVAL: (State.AWAIT_APPROVAL,),
    State.SHADOW: (State.SHADOW,),
    State.RAMP: (State.SHADOW, State.RAMP),
    State.HOLD: (State.RAMP, State.HOLD),
    State.PROMOTING: (State.RAMP, State.PROMOTING),
    State.WATCH: (State.RAMP, State.PROMOTING, State.WATCH),
    State.PROMOTED: (State.RAMP, State.PROMOTING, State.WATCH, State.PROMOTED),
    State.ROLLING_BACK: (State.RAMP, State.ROLLING_BACK),
    State.ROLLED_BACK: (State.RAMP, State.ROLLING_BACK, State.ROLLED_BACK),
    State.INCONCLUSIVE: (State.RAMP, State.INCONCLUSIVE),
    State.SUPERSEDED: (State.SUPERSEDED,),
}


@pytest.mark.parametrize("state", PATHS)
def test_every_state_has_a_page(settings: Settings, store: RolloutStore, ledger: Ledger, state: State) -> None:
    standing = lead(store, begin(store, ledger.model), *PATHS[state])
    for hours in (24, 36, 48):
        found = snapshot(standing, hours=hours, clicks=0.101)
        write_once(snapshot_path(settings.state, model=ledger.model, rollout_id=standing.id, as_of=found.as_of), found)
    page = Texts(draw(settings, standing.id))
    assert f"{standing.id} {state}" in page.shown
    assert "21,345" in page.shown or state in (State.GATED, State.AWAIT_APPROVAL, State.SHADOW, State.SUPERSEDED)
    assert {"svg", "polyline"} <= page.tags
    assert ("polygon" in page.tags) == (state is not State.SHADOW), "nobody has met the candidate: no KPIs"
    assert Texts(draw(settings)).shown.count(standing.id) == 1


def test_what_people_wrote_is_text(settings: Settings, store: RolloutStore, ledger: Ledger) -> None:
    standing = begin(store, ledger.model, HOSTILE)
    hostile = change(State.SHADOW)
    hostile = hostile.model_copy(update={"decision": hostile.decision.model_copy(update={"reason": HOSTILE})})
    standing = store.apply(standing, hostile, actor=HOSTILE)
    for page in (Texts(draw(settings, standing.id)), Texts(draw(settings)), Texts(draw(settings, HOSTILE))):
        assert "script" not in page.tags
        assert HOSTILE in page.shown


def test_a_torn_snapshot_is_left_out(settings: Settings, store: RolloutStore, ledger: Ledger) -> None:
    standing = lead(store, begin(store, ledger.model), State.RAMP)
    found = snapshot(standing, hours=24, clicks=0.1)
    path = snapshot_path(settings.state, model=ledger.model, rollout_id=standing.id, as_of=found.as_of)
    write_once(path, found)
    (path.parent / "2026-01-20T000000Z.json").write_text('{"model": "t')
    assert "21,345" in Texts(draw(settings, standing.id)).shown


def test_without_a_database_it_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYBREAK_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    monkeypatch.setattr("components.rollout.page.reading.PATIENCE_SECS", 0.1)
    assert "cannot be read" in Texts(draw(settings)).shown
    monkeypatch.delenv("DAYBREAK_DATABASE_URL")
    assert "No database is known" in Texts(draw(settings)).shown


def test_the_command_writes_a_page(settings: Settings) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "components.rollout.page", "nobody-1"], capture_output=True, text=True, check=True
    )
    assert "There is no rollout nobody-1" in Texts(done.stdout).shown


def test_bounds_to_come_are_those_of_the_looks(store: RolloutStore, ledger: Ledger) -> None:
    standing = lead(store, begin(store, ledger.model, looks=4), State.RAMP)
    fresh = planned_looks(standing)
    assert [each.information for each in fresh] == [0.25, 0.5, 0.75, 1.0]
    assert all(first.z > second.z for first, second in itertools.pairwise(fresh))
    look = Look(time=NOON, information=0.25, spent=0.05 * 0.25**3, bound=fresh[0].z, z=1.0, snapshot="")
    taken = planned_looks(standing.model_copy(update={"looks": (look,)}))
    assert [round(each.z, 6) for each in taken] == [round(each.z, 6) for each in fresh]
    assert len(planned_looks(standing.model_copy(update={"looks": (look,), "state": State.WATCH}))) == 1
