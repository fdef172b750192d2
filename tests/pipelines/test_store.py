from __future__ import annotations

import os

import pytest

pytest.importorskip("tfx")

from ml_metadata.proto import metadata_store_pb2

from pipelines.node.metadata import connection_config
from pipelines.node.store import Store
from pipelines.settings import Settings
from tests.postgres import Server


@pytest.fixture
def store(server: Server, settings: Settings) -> Store:
    return Store(connection_config(settings, {**os.environ, "DAYBREAK_MLMD_URL": server.new_database()}))


def test_artifacts_and_types_come_in_the_order_asked_for(store: Store) -> None:
    """TFX pairs them with events by position: another order gives a cached node's outputs the wrong names."""
    types = [store.put_artifact_type(metadata_store_pb2.ArtifactType(name=name)) for name in ("A", "B", "C")]
    ids = store.put_artifacts([metadata_store_pb2.Artifact(type_id=kind, uri=f"/{kind}") for kind in types])
    for moved in (ids[0], ids[1]):  # an update moves a row to the end of PostgreSQL's heap
        [artifact] = store.get_artifacts_by_id([moved])
        artifact.uri += "/moved"
        store.put_artifacts([artifact])
    for wanted in (ids, ids[::-1], [ids[1], ids[2], ids[0]]):
        assert [artifact.id for artifact in store.get_artifacts_by_id(wanted)] == wanted
        assert [artifact.id for artifact in store.get_artifacts_and_types_by_artifact_ids(wanted)[0]] == wanted
    wanted_types = [types[2], types[0], types[2]]
    assert [kind.id for kind in store.get_artifact_types_by_id(wanted_types)] == wanted_types
