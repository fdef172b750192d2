from __future__ import annotations

import pytest

from components.ledger.ledger import Ledger
from components.registry.register.executor import register
from components.registry.versions import Registry
from components.tracking.outbox import RUN, Outbox
from components.tracking.sending import send
from components.tracking.tracker import Tracker
from pipelines.settings import Settings
from tests.components.registry.conftest import Make


def test_the_retrains_run_shows_its_model(
    registry: Registry, ledger: Ledger, make_candidate: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.from_environment()
    run_id = f"{registry.name}-2026-01-05-aaaaaaaa"
    monkeypatch.setenv("DAYBREAK_RUN_ID", run_id)
    outbox = Outbox.of(settings, pipeline=registry.name, run_id=run_id, scope=RUN)
    Tracker(outbox).log_params({"rows_limit": 0})
    assert send(outbox, settings=settings, wait_secs=5).left == 0

    registered = register(registry, ledger, make_candidate("2026-01-05"))

    version = registry.client.get_model_version(registry.name, registered.version)
    run = registry.client.get_run(outbox.cursor().mlflow_run)
    assert version.run_id == run.info.run_id
    assert [f"models:/{output.model_id}" for output in run.outputs.model_outputs] == [version.source]
