from __future__ import annotations

import copy
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

from pipelines.errors import SpecError
from pipelines.spec import CLASS_METRICS, Cluster, ClusterKind, Spec, load_spec, parse_spec, pipeline_folder

MINIMAL: dict[str, Any] = {
    "name": "toy",
    "data": {
        "source": {"format": "csv", "path": "data/{day}.csv"},
        "columns": {"user": "string", "price": "float", "bought": "int"},
        "label": "bought",
        "split_key": "user",
    },
    "schedule": {"start": "2026-01-01"},
}


KEEP = {"keep_negatives": 0.1}
WORTH = {"prices": {"cpu_core_hour_usd": 1}, "requests_per_day": 1, "value_per_request_usd": 1}


def spec_with(**changes: Any) -> Spec:
    """MINIMAL with `path__to__key=value` replaced."""
    raw = copy.deepcopy(MINIMAL)
    for path, value in changes.items():
        *parents, last = path.split("__")
        place = raw
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return parse_spec(yaml.safe_dump(raw), file="toy/pipeline.yaml")


def test_minimal_spec_has_defaults_and_is_frozen() -> None:
    spec = spec_with()
    assert spec.data.splits == {"train": 4, "eval": 1}
    assert spec.budget.warn_after_hours == 18
    with pytest.raises(ValueError, match="frozen"):
        spec.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    "source",
    [
        {"format": "jsonl", "path": "data/{day}/*.jsonl.gz"},
        {"format": "tfrecord", "path": "data/all.tfrecord", "time_column": "user"},
        {"format": "sql", "query": "SELECT * FROM t WHERE day = '{day}'", "url_env": "SHOP_URL"},
        {"format": "sql", "query": "SELECT * FROM t", "url_env": "SHOP_URL", "time_column": "user"},
        {"format": "bigquery", "query": "SELECT * FROM t WHERE day = '{day}'", "project": "p"},
    ],
)
def test_every_source_has_one_way_to_find_a_day(source: dict[str, str]) -> None:
    assert spec_with(data__source=source).data.source.format == source["format"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"nonsense": 1}, "`nonsense`: no such setting"),
        ({"data__label": "missing"}, "`label` names the column 'missing'"),
        ({"data__split_key": "missing"}, "`split_key` names the column 'missing'"),
        ({"data__source__path": "data/all.csv"}, "a day is found either by"),
        ({"data__source__time_column": "user"}, "a day is found either by"),
        ({"data__source": {"format": "csv"}}, "`format: csv` needs `path`"),
        ({"data__source__query": "SELECT 1"}, "are for `format: sql`"),
        ({"data__source__format": "sql"}, "`format: sql` needs `query` and `url_env`, and has no `path`"),
        ({"data__source": {"format": "sql", "query": "SELECT 1", "url_env": "URL"}}, "`{day}` in `query`"),
        ({"data__source__format": "xml"}, "`data.source.format`"),
        ({"data__source": {"format": "bigquery", "path": "{day}"}}, "`format: bigquery` needs `query`"),
        ({"data__source": {"format": "bigquery", "query": "SELECT 1"}}, "`{day}` in `query`"),
        ({"data__source__project": "p"}, "`format: csv` has no `project`"),
        ({"compress": {"variants": [], "max_loss": {"auc": 0.1}}}, "`compress.variants`"),
        ({"compress": {"variants": ["int8"], "max_loss": {}}}, "`compress.max_loss`"),
        ({"compress": {"variants": ["int8", "int8"], "max_loss": {"auc": 0.1}}}, "must name each variant once"),
        ({"compress": {"variants": ["litert_int8"], "max_loss": {"auc": 0.1}}}, "add `int8` to `variants`"),
        ({"compress": {"variants": ["int4"], "max_loss": {"auc": 0.1}}}, "`compress.variants"),
        ({"data__splits": {"train": 1}}, "`splits` needs `train` and `eval`"),
        ({"data__max_quarantined": 2}, "`data.max_quarantined`"),
        (
            {"data__downsample": {"keep_negatives": 0}},
            "`data.downsample.keep_negatives`: Input should be greater than 0",
        ),
        ({"data__downsample": {"keep_negatives": 1}}, "`data.downsample.keep_negatives`: Input should be less than 1"),
        ({"data__label": "price", "data__downsample": KEEP}, "`downsample` needs a binary label, of type int or bool"),
        ({"data__downsample": KEEP | {"weight": "price"}}, "'price' is in `columns`. Give it another name"),
        ({"data__downsample": KEEP | {"splits": ["test"]}}, "must name some of `splits`: train, eval. Received: test"),
        ({"data__downsample": KEEP | {"splits": []}}, "must name some of `splits`: train, eval. Received: none"),
        ({"data__columns__user": "image"}, "an image is no label, key or time. Received: user of type image"),
        ({"data__columns__photo": "image"}, "`images.root` must say where the paths in photo start"),
        ({"schedule__timezone": "Mars/Olympus"}, "IANA name"),
        ({"train": {"devices": 2}}, "`strategy: single` trains on one device"),
        ({"train": {"strategy": "mirrored", "devices": 3, "batch_size": 100}}, "must be a multiple of `devices` 3"),
        ({"train": {"budget_minutes": 100}, "budget": {"hours": 1}}, "exceeds `budget.hours` 1"),
        ({"budget": {"hours": 2, "warn_hours": 3}}, "must be below `hours` 2"),
        ({"evaluate": {"slices": [["colour"]]}}, "`evaluate.slices` names colour"),
        (
            {"evaluate": {"metrics": ["f1"]}},
            "`evaluate.metrics.0`: no such metric; there are precision@T, recall@T, auc",
        ),
        ({"evaluate": {"metrics": ["precision@1.5"]}}, "no such metric"),
        ({"evaluate": {"metrics": ["recall@0.0"]}}, "no such metric"),
        ({"evaluate": {"metrics": []}}, "`evaluate.metrics`"),
        ({"evaluate": {"bounds": [{"metric": "r_squared", "min": 0.1}]}}, "'r_squared', which is not in `metrics`"),
        ({"evaluate": {"bounds": [{"metric": "auc", "min": 0.1, "per": ["user"]}]}}, "['user'], which is not an entry"),
        (
            {"evaluate": {"fairness": [{"feature": "user", "metric": "auc", "max_gap": 0.1}]}},
            "not an entry of `slices`",
        ),
        ({"evaluate": {"bounds": [{"metric": "auc"}]}}, "needs `min` or `max`"),
        ({"evaluate": {"bounds": [{"metric": "auc", "min": 0.9, "max": 0.1}]}}, "min 0.9 above max 0.1"),
        ({"drift": {"l_infinity": {"colour": 0.1}}}, "`drift.l_infinity` names colour"),
        ({"worth": {"prices": {"cpu_core_hour_usd": -1}}}, "greater than or equal to 0"),
        ({"worth": {"freshness": {"lift_per_unit": 1, "models": 1}}}, "greater than or equal to 2"),
        ({"worth": {"prices": {"cpu_core_hour_usd": 1}, "value_per_request_usd": 0}}, "greater than 0"),
        ({"cluster": "yarn"}, "Input should be 'local', 'flink', 'spark' or 'dataflow'"),
        ({"cluster": {"kind": "local", "region": "r"}}, "`kind: local` has no region"),
        ({"cluster": {"kind": "local", "workers": 0}}, "greater than or equal to 1"),
        ({"cluster": {"kind": "local", "workers": 257}}, "threads of one machine, at most 256"),
        ({"cluster": {"kind": "flink", "region": "r"}}, "`kind: flink` has no region"),
        ({"cluster": {"kind": "flink", "worker_pool": "h:1"}}, "`worker_pool` belongs to `job_endpoint`"),
        ({"cluster": {"kind": "dataflow", "project": "p"}}, "add region, temp_location, container_image"),
    ],
)
def test_contradictions_name_file_path_and_received(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError) as raised:
        spec_with(**changes)
    message = str(raised.value)
    assert words in message
    assert message.startswith("toy/pipeline.yaml: ")
    assert "Received: " in message
    assert "Fix: " in message


def test_a_pipeline_that_says_nothing_of_worth_is_not_asked() -> None:
    assert spec_with().worth is None


def test_a_cluster_is_a_word_or_a_mapping() -> None:
    assert spec_with().cluster == Cluster(kind=ClusterKind.LOCAL)
    assert spec_with(cluster="flink").cluster == spec_with(cluster={"kind": "flink"}).cluster
    assert spec_with(cluster="spark").cluster.kind is ClusterKind.SPARK


def test_all_problems_come_at_once() -> None:
    with pytest.raises(SpecError, match=r"2 problem\(s\)"):
        spec_with(nonsense=1, data__max_quarantined=7)


@pytest.mark.parametrize("text", ["", "- a", "name: [", "just words"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="Fix: "):
        parse_spec(text)


def test_unknown_pipeline_lists_the_known_ones() -> None:
    with pytest.raises(SpecError, match="Received: name='nowhere'"):
        load_spec("nowhere")


def test_the_contract_is_light() -> None:
    heavy = {"tensorflow", "tfx", "apache_beam", "mlflow", "pandas", "numpy", "airflow", "sqlalchemy"}
    code = (
        "import sys, pipelines.spec, pipelines.manifest, pipelines.outcome, pipelines.settings, pipelines.errors;"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_credentials_in_a_path_are_refused_and_not_repeated() -> None:
    text = (pipeline_folder("taxi") / "pipeline.yaml").read_text()
    with pytest.raises(SpecError, match="must not hold credentials") as caught:
        parse_spec(text.replace("${DAYBREAK_TAXI_CSV:-taxi_trips.csv}", "s3://KEY:hunter2@bucket/trips.csv"))
    assert "hunter2" not in str(caught.value) and "s3://***@bucket" in str(caught.value)


def test_changes_reach_nested_mappings_and_lists() -> None:
    raw = copy.deepcopy(MINIMAL) | {"evaluate": {"bounds": [{"metric": "auc", "min": 0.6}]}}
    changes = ["train.epochs=8", "evaluate.bounds.0.min=0.7", "train.hyperparameters.units=[64, 32]"]
    spec = parse_spec(yaml.safe_dump(raw), changes=changes)
    assert (spec.train.epochs, spec.evaluate.bounds[0].min) == (8, 0.7)
    assert spec.train.hyperparameters == {"units": [64, 32]}


@pytest.mark.parametrize(
    "change",
    ["train.epochs", "name.first=1", "data.label.x=1", "schedule.start=[", "evaluate.bounds.0.min=1"],
)
def test_a_change_that_cannot_be_made_says_how_to_write_one(change: str) -> None:
    raw = copy.deepcopy(MINIMAL) | {"evaluate": {"bounds": []}}
    with pytest.raises(SpecError, match=r"--set train.epochs=8"):
        parse_spec(yaml.safe_dump(raw), changes=[change])


def test_a_change_is_checked_like_the_file() -> None:
    with pytest.raises(SpecError, match=r"`train.epoch`: no such setting"):
        parse_spec(yaml.safe_dump(MINIMAL), changes=["train.epoch=8"])


POLICY = {
    "decisions": "log/{day}/decisions.parquet",
    "items": "log/{day}/items.parquet",
    "decision": "user",
    "item": "user",
    "position": "bought",
    "propensity": "price",
    "floor": "price",
}


def test_kpis_are_declared_once_for_every_comparison() -> None:
    spec = spec_with(
        kpis=[{"name": "revenue", "numerator": "price", "denominator": "bought", "margin": 0.02}], policy=POLICY
    )
    assert spec.kpis[0].direction == "higher_is_better"
    assert spec.kpis[0].margin_unit == "relative"
    assert spec.policy is not None and spec.policy.epsilon == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kpis": [{"name": "a", "numerator": "user", "margin": 0}]}, r"`kpis.a` names user; numbers among"),
        ({"kpis": [{"name": "a", "numerator": "price", "margin": -1}]}, "greater than or equal to 0"),
        ({"kpis": [{"name": "a", "numerator": "price", "margin": 0}] * 2}, "Received twice: a"),
        ({"kpis": [{"name": "a", "numerator": "price", "margin": 0, "guardrail": True}]}, "one of `kpis` must decide"),
        ({"policy": POLICY | {"item": "sku"}}, "`policy` names sku"),
        ({"policy": POLICY | {"items": "items.parquet"}}, "its path holds `{day}`"),
        ({"policy": POLICY | {"items": "s3://a:b@c/{day}"}}, "must not hold credentials"),
    ],
)
def test_kpis_and_policy_that_contradict_the_rows_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        spec_with(**changes)


def test_without_a_section_the_own_model_is_served() -> None:
    assert load_spec("shop").baselines.pin == load_spec("taxi").baselines.pin == "tensorflow"


@pytest.mark.parametrize("wrong", ["pin: forest", "tolerance: -1", "metric: auc", "budget_share: 0"])
def test_a_wrong_setting_of_the_baselines_is_named(wrong: str) -> None:
    with pytest.raises(SpecError, match=f"baselines.{wrong.partition(':')[0]}"):
        parse_spec(f"name: x\nbaselines: {{{wrong}}}")


WITHOUT_BASELINES: dict[str, Any] = {"evaluate__classes": 3, "baselines__enabled": False}


def test_of_classes_the_metrics_are_others() -> None:
    assert spec_with(**WITHOUT_BASELINES).evaluate.metrics == CLASS_METRICS
    metrics = ["accuracy@2", "auc@2", "calibration@0"]
    found = spec_with(**WITHOUT_BASELINES, evaluate__metrics=metrics, learning__max_gap={"accuracy": 0.1})
    assert found.evaluate.metrics == tuple(metrics)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluate__metrics": ["auc"]}, "a model of 3 classes has categorical_crossentropy"),
        ({"evaluate__metrics": ["accuracy@3"]}, "Received: accuracy@3"),
        ({"evaluate__metrics": ["accuracy@0"]}, "Received: accuracy@0"),
        ({"evaluate__metrics": ["calibration@3"]}, "Received: calibration@3"),
        ({"evaluate__metrics": ["precision@0.5"]}, "Received: precision@0.5"),
        ({"evaluate__metrics": ["accuracy@x"]}, "accuracy@N"),
        ({"learning__max_gap": {"auc": 0.1}}, "`learning.max_gap`: a model of 3 classes"),
        ({"evaluate__classes": None, "evaluate__metrics": ["accuracy"]}, "set `evaluate.classes` to how many"),
        ({"evaluate__classes": 1}, "greater than or equal to 2"),
        ({"baselines__enabled": True}, "Received: baselines.enabled; set `baselines: {enabled: false}`"),
        ({"compress": {"variants": ["float16"], "max_loss": {"auc": 0.1}}}, "Received: compress"),
        ({"data__downsample": KEEP}, "Received: data.downsample"),
        (
            {"worth": {**WORTH, "freshness": {"lift_per_unit": 1}}},
            "Received: worth.freshness",
        ),
        ({"learning__max_gap": {"calibration@1": 0.1}}, "`max_gap` compares metrics with a better side"),
    ],
)
def test_what_is_of_one_output_is_refused_for_classes(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        spec_with(**(WITHOUT_BASELINES | changes))
