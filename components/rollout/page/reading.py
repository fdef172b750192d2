"""From the database and the state folder to a page; whatever is down, the page says so.

print(draw(Settings.from_environment(), "shop-3-1a2b3c"))
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from components.ledger.database import is_configured
from components.ledger.ledger import Ledger
from components.rollout.page.document import View, failure_page, overview_page, rollout_page
from components.rollout.page.history import read_history
from components.rollout.page.markup import Html
from components.rollout.standing import Standing
from components.rollout.store import RolloutStore
from components.worth.ledger import ENTRY_FILE, Entry
from pipelines.errors import DaybreakError, one_line
from pipelines.settings import Settings

PATIENCE_SECS = 2.0


def draw(settings: Settings, rollout: str = "") -> Html:
    from sqlalchemy.exc import SQLAlchemyError

    if not is_configured(settings):
        return failure_page("No database is known here: run `daybreak up`, or set DAYBREAK_DATABASE_URL.")
    try:
        store = RolloutStore.open(settings, patience_secs=PATIENCE_SECS)
        if not rollout:
            return overview_page([one for model in store.models() for one in store.standings(model)])
        standing = store.standing(rollout)
        if standing is None:
            return failure_page(f"There is no rollout {rollout[:100]}.")
        return rollout_page(_view(settings, store, standing))
    except (DaybreakError, SQLAlchemyError) as error:
        return failure_page(f"The rollouts cannot be read: {one_line(error)}")


def _view(settings: Settings, store: RolloutStore, standing: Standing) -> View:
    return View(
        standing=standing,
        events=store.events(standing.id),
        memory=store.memory(standing.id),
        history=read_history(settings.state, standing),
        costs=_costs(settings, Ledger(store.engine, standing.model), standing.challenger),
    )


def _costs(settings: Settings, ledger: Ledger, version: str) -> Entry | None:
    """Of the run that registered it; its tags in MLflow, which may be down, say the same."""
    runs = {entry.run_id for entry in ledger.entries() if entry.version == version and entry.run_id}
    for path in _newest(settings.artifacts / ledger.model):
        try:
            entry = Entry.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            continue
        if entry.run_id in runs:
            return entry
    return None


def _newest(folder: Path, most: int = 100) -> list[Path]:
    return sorted(folder.glob(f"costs/*/*/{ENTRY_FILE}"), reverse=True)[:most]
