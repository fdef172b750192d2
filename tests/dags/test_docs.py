from __future__ import annotations

from dags.docs import dag_page, picture
from pipelines.manifest import Manifest, Node
from tests.dags.conftest import EDGES

WIDTH = 60
"""Characters that fit into Airflow's dialog."""


def test_the_page_says_what_matters(manifest: Manifest):
    page = dag_page(manifest)
    for text in ("Recommends products.", "shop-team", "simulated", "0 2 * * *", "24 h", "what train does"):
        assert text in page
    assert "simulated" not in dag_page(manifest.model_copy(update={"simulated": False}))


def test_the_page_has_no_html_because_airflow_drops_it(manifest: Manifest):
    assert "<" not in dag_page(manifest)


def test_the_picture_has_every_stage_and_node_in_order(manifest: Manifest):
    drawn = picture(manifest.nodes)
    stages = ["data", "validation", "features", "training", "evaluation", "release"]
    positions = [drawn.index(stage) for stage in stages]
    assert positions == sorted(positions)
    assert all(node in drawn for node in EDGES)
    assert len({len(line) for line in drawn.splitlines()}) == 1, "a straight frame"
    assert len(drawn.splitlines()[0]) <= WIDTH


def test_the_picture_of_one_node_without_stage():
    assert picture([Node(id="alone", stage="")]) == "┌───────┬───────┐\n│ alone │ alone │\n└───────┴───────┘"


def test_a_pipe_in_a_description_does_not_break_the_table(manifest: Manifest):
    nodes = (Node(id="a", stage="", description="x | y"),)
    assert "x \\| y" in dag_page(manifest.model_copy(update={"nodes": nodes}))
